package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

// answerHolds is how long an answer about rights is taken for true. Who has just let the controller do something does
// not like to wait.
const answerHolds = 10 * time.Second

// rights asks the API server what the controller may do in a namespace, which takes no right.
type rights struct {
	reviews authorizationclient.SelfSubjectAccessReviewInterface
	now     func() time.Time

	mu    sync.Mutex
	known map[string]answer
}

type answer struct {
	at  time.Time
	may bool
}

func rightsOf(cfg *rest.Config, now func() time.Time) (*rights, error) {
	client, err := authorizationclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make the client for rights: %w", err)
	}
	return &rights{reviews: client.SelfSubjectAccessReviews(), now: now, known: map[string]answer{}}, nil
}

// mayRunJobs says whether Jobs may be created in a namespace.
func (r *rights) mayRunJobs(ctx context.Context, namespace string) (bool, error) {
	r.mu.Lock()
	known, found := r.known[namespace]
	r.mu.Unlock()
	// An answer from the future is none: the clock was set back, and it would count for too long.
	if now := r.now(); found && now.Sub(known.at) < answerHolds && !now.Before(known.at) {
		return known.may, nil
	}
	may, err := r.may(ctx, authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: "create", Group: "batch",
		Resource: "jobs",
	})
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[namespace] = answer{at: r.now(), may: may}
	return may, nil
}

// may asks by a SelfSubjectAccessReview, which answers with all roles and authorizers of the cluster taken together.
func (r *rights) may(ctx context.Context, what authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what},
	}
	got, err := r.reviews.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask for the right to %s %s in namespace %s: %w", what.Verb, what.Resource, what.Namespace,
			err)
	}
	return got.Status.Allowed, nil
}
