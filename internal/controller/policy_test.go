package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/admission"
)

// TestPolicyLook: the hold is in force only with the policy and its binding; what cannot be found out is no "no".
func TestPolicyLook(t *testing.T) {
	policy := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: admission.HoldWorkload}}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: admission.HoldWorkload}}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, "x", nil)
	for name, tt := range map[string]struct {
		objects []client.Object
		answer  error
		inForce bool
		fails   bool
	}{
		"both":           {objects: []client.Object{policy, binding}, inForce: true},
		"no binding":     {objects: []client.Object{policy}},
		"none":           {},
		"may not look":   {answer: forbidden},
		"cannot be told": {answer: errors.New("no connection"), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			live := interceptor.NewClient(store(t, tt.objects...), interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if tt.answer != nil {
						return tt.answer
					}
					return c.Get(ctx, key, o, opts...)
				},
			})
			p := &policyWatch{live: live}
			if err := p.look(t.Context()); (err != nil) != tt.fails {
				t.Fatal(err)
			}
			if got := p.inForce.Load(); got != tt.inForce {
				t.Errorf("in force: %v, want %v", got, tt.inForce)
			}
		})
	}
}

// TestAnnounce: all Rollouts are looked at when the policy comes or goes; a process that does not lead, in which nobody
// listens, is not held up.
func TestAnnounce(t *testing.T) {
	shop := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop"}}
	changed, elected := make(chan event.GenericEvent), make(chan struct{})
	p := &policyWatch{list: store(t, shop), changed: changed, elected: elected}
	done := make(chan struct{})
	go func() { defer close(done); p.announce(t.Context()) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for somebody to listen")
	}
	close(elected)
	go p.announce(t.Context())
	select {
	case e := <-changed:
		if e.Object.GetName() != "shop" {
			t.Errorf("%v", e.Object)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is announced")
	}
}

// TestPolicyWatched: that the policy comes or goes is known at once, not with the next tick.
func TestPolicyWatched(t *testing.T) {
	live := store(t)
	p := &policyWatch{live: live, list: live, elected: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Start(ctx) }()
	comesTo := func(want bool) {
		t.Helper()
		for late := time.After(20 * time.Second); p.inForce.Load() != want; {
			select {
			case <-late:
				t.Fatalf("in force: %v, want %v", !want, want)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	for range 2 {
		policy := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: admission.HoldWorkload}}
		binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: admission.HoldWorkload}}
		for _, o := range []client.Object{policy, binding} {
			if err := live.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		comesTo(true)
		for _, o := range []client.Object{binding, policy} {
			if err := live.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		comesTo(false)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
