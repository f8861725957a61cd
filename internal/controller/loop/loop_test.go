package loop

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sluice-dev/sluice/internal/kube"
)

var key = types.NamespacedName{Namespace: "demo", Name: "shop"}

// TestRun: nothing is looked at while the cache is behind our own write; a conflict is looked at again at once.
func TestRun(t *testing.T) {
	store := fake.NewClientBuilder().Build()
	behind := false
	cached := interceptor.NewClient(store, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if behind {
				return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, key.Name)
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	c := kube.New(cached, store, time.Now)
	looks := 0
	look := func(err error) Look {
		return func(ctx context.Context, write *kube.Writer) (ctrl.Result, error) {
			looks++
			made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", GenerateName: "x"}}
			return ctrl.Result{RequeueAfter: time.Hour}, errors.Join(write.Create(ctx, made), err)
		}
	}
	if got, err := Run(t.Context(), c, key, look(nil)); err != nil || got.RequeueAfter != time.Hour {
		t.Errorf("the first look: %v, %v", got, err)
	}
	behind = true
	if got, err := Run(t.Context(), c, key, look(nil)); err != nil || got.RequeueAfter != StaleDelay || looks != 1 {
		t.Errorf("behind the write: %v, %v after %d looks, want to wait", got, err, looks)
	}
	behind = false
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "x", nil)
	if got, err := Run(t.Context(), c, key, func(context.Context, *kube.Writer) (ctrl.Result, error) {
		return ctrl.Result{}, conflict
	}); err != nil || got.RequeueAfter != ConflictDelay {
		t.Errorf("a conflict: %v, %v, want to look again", got, err)
	}
	lost := errors.New("no connection")
	if _, err := Run(t.Context(), c, key, look(lost)); !errors.Is(err, lost) {
		t.Errorf("another error: %v", err)
	}
}

// TestWake: whoever wakes waits until somebody listens, and not beyond his own end.
func TestWake(t *testing.T) {
	w := NewWaker()
	ended, stop := context.WithCancel(t.Context())
	stop()
	w.Wake(ended, &corev1.ConfigMap{})
	go w.Wake(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	if e := <-w.Woken(); e.Object.GetName() != "shop" {
		t.Errorf("woken %v", e.Object)
	}
}
