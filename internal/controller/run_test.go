package controller

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/admission"
	"github.com/sluice-dev/sluice/internal/kube/clock"
)

func store(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

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

// TestTime: what the manager's connection hears of the API server's clock is the time that all go by.
func TestTime(t *testing.T) {
	ahead := time.Now().Add(time.Hour)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", ahead.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(api.Close)
	var told []string
	now := clock.Machine(func(what string, _ time.Duration) { told = append(told, what) })
	if off := time.Until(now.Now()); off.Abs() > time.Minute {
		t.Errorf("%v off before any response", off)
	}
	if _, err := newManager(&rest.Config{Host: api.URL}, Options{}, now); err == nil {
		t.Error("a manager of what is no cluster") // It has asked all the same.
	}
	if off := now.Now().Sub(ahead); off.Abs() > time.Minute {
		t.Errorf("%v off the API server's clock", off)
	}
	if want := []string{clock.MachineOff}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
