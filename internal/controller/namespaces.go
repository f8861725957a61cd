package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// absentCheck is how often it is asked whether a namespace without rights has got them.
const absentCheck = 30 * time.Second

// errBack ends the process, so that it starts anew with the namespace: a cache cannot be given one more.
var errBack = errors.New("may be looked after now; starting anew with it")

// servable leaves the namespaces out of which the controller may read nothing, most likely since they were deleted, and
// with them its Role: a cache that cannot be filled would keep the controller from all the others. What it returns goes
// on asking for them; nil if none is left out.
func servable(ctx context.Context, cfg *rest.Config, o *Options) (*absentees, error) {
	if len(o.Namespaces) == 0 {
		return nil, nil
	}
	asked, err := rightsOf(cfg, time.Now)
	if err != nil {
		return nil, err
	}
	a := &absentees{rights: asked}
	wanted := slices.Compact(slices.Sorted(slices.Values(o.Namespaces)))
	o.Namespaces = nil
	for _, namespace := range wanted {
		may, err := a.may(ctx, namespace)
		if err != nil {
			return nil, err
		}
		if may {
			o.Namespaces = append(o.Namespaces, namespace)
			continue
		}
		a.namespaces = append(a.namespaces, namespace)
		ctrl.LoggerFrom(ctx).Error(errors.New("the controller may not read Rollouts there"), "a namespace is not looked "+
			"after",
			"namespace", namespace, "remedy", "create it, then sluice install --namespaces "+strings.Join(wanted, ","))
	}
	if len(o.Namespaces) == 0 {
		return nil, fmt.Errorf("the controller may not read Rollouts in any of the namespaces %[1]s; run: sluice install "+
			"--namespaces %[1]s", strings.Join(wanted, ","))
	}
	if len(a.namespaces) == 0 {
		return nil, nil
	}
	return a, nil
}

// absentees are namespaces that were asked for and give the controller no rights.
type absentees struct {
	rights     *rights
	namespaces []string
}

// may says whether the controller may list Rollouts in a namespace, without which its cache cannot be filled.
func (a *absentees) may(ctx context.Context, namespace string) (bool, error) {
	return a.rights.may(ctx, authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: "list",
		Group: v1alpha1.GroupVersion.Group, Resource: "rollouts",
	})
}

// NeedLeaderElection has it run in every process, since each has its own cache.
func (a *absentees) NeedLeaderElection() bool { return false }

// Start ends with an error when one of the namespaces may be looked after. An error of the question itself is only
// logged: the namespaces that are served must not suffer from it.
func (a *absentees) Start(ctx context.Context) error {
	tick := time.NewTicker(absentCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, namespace := range a.namespaces {
			may, err := a.may(ctx, namespace)
			if err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "ask for rights")
			} else if may {
				return fmt.Errorf("namespace %s %w", namespace, errBack)
			}
		}
	}
}
