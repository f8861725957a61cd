package kube

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var owner = types.NamespacedName{Namespace: "demo", Name: "shop"}

// api is an API server and a cache of it that lags until it is told to follow.
type api struct {
	t     *testing.T
	now   time.Time
	live  client.WithWatch
	cache map[string]*corev1.ConfigMap
	// answer is what writes are answered; stored says whether they are done before.
	answer error
	stored bool
	calls  int
	kube   *Client
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{t: t, now: time.Unix(1e9, 0), cache: map[string]*corev1.ConfigMap{}, stored: true}
	a.live = fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
	cached := interceptor.NewClient(a.live, interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			have, ok := a.cache[key.Name]
			if !ok {
				return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, key.Name)
			}
			have.DeepCopyInto(o.(*corev1.ConfigMap))
			return nil
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return a.write(func() error { return c.Create(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return a.write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return a.write(func() error { return c.Delete(ctx, o, opts...) })
		},
	})
	a.kube = New(cached, a.live, func() time.Time { return a.now })
	return a
}

func (a *api) write(do func() error) error {
	a.calls++
	if a.stored {
		if err := do(); err != nil {
			return err
		}
	}
	return a.answer
}

// follow has the cache show what there is.
func (a *api) follow() {
	a.t.Helper()
	list := &corev1.ConfigMapList{}
	if err := a.live.List(a.t.Context(), list); err != nil {
		a.t.Fatal(err)
	}
	a.cache = map[string]*corev1.ConfigMap{}
	for i := range list.Items {
		a.cache[list.Items[i].Name] = &list.Items[i]
	}
}

// have makes an object that the cache shows.
func (a *api) have(name string) *corev1.ConfigMap {
	a.t.Helper()
	o := thing(name)
	o.UID = types.UID("uid-" + name)
	if err := a.live.Create(a.t.Context(), o); err != nil {
		a.t.Fatal(err)
	}
	a.follow()
	return o
}

func thing(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name}, Data: map[string]string{"a": "1"}}
}

func changed(o *corev1.ConfigMap) *corev1.ConfigMap {
	out := o.DeepCopy()
	out.Data["a"] += "+"
	return out
}

func (a *api) stale(want bool, what string) {
	a.t.Helper()
	s, err := a.kube.Fresh(a.t.Context(), owner)
	if err != nil {
		a.t.Fatalf("%s: %v", what, err)
	}
	if (s != nil) != want {
		a.t.Errorf("%s: stale %v, want %v", what, s, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWritesAreWaitedFor(t *testing.T) {
	for name, write := range map[string]func(*api, *Writer, *corev1.ConfigMap) error{
		"create": func(a *api, w *Writer, _ *corev1.ConfigMap) error { return w.Create(a.t.Context(), thing("new")) },
		"patch":  func(a *api, w *Writer, o *corev1.ConfigMap) error { return w.Patch(a.t.Context(), o, changed(o)) },
		"delete": func(a *api, w *Writer, o *corev1.ConfigMap) error { return w.Delete(a.t.Context(), o) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			o := a.have("it")
			a.stale(false, "before")
			must(t, write(a, a.kube.For(owner), o))
			a.stale(true, "the cache lags")
			if s, err := a.kube.Fresh(t.Context(), types.NamespacedName{Namespace: "demo", Name: "another"}); s != nil || err != nil {
				t.Errorf("another owner waits as well: %v, %v", s, err)
			}
			a.follow()
			a.stale(false, "the cache has followed")
			if len(a.kube.ledger.entries) != 0 {
				t.Errorf("remembered for ever: %v", a.kube.ledger.entries)
			}
		})
	}
}

func TestNothingChangedIsNotWritten(t *testing.T) {
	a := newAPI(t)
	o := a.have("it")
	w := a.kube.For(owner)
	must(t, w.Patch(t.Context(), o, o.DeepCopy()))
	must(t, w.PatchStatus(t.Context(), o, o.DeepCopy()))
	must(t, w.PatchSpec(t.Context(), o, o.DeepCopy()))
	if a.calls != 0 || w.Writes() != 0 {
		t.Errorf("%d calls, %d writes", a.calls, w.Writes())
	}
}

// TestForeignWrite: what was decided from an older state is refused, and nothing is remembered of it.
func TestForeignWrite(t *testing.T) {
	a := newAPI(t)
	o := a.have("it")
	must(t, a.live.Update(t.Context(), changed(o)))
	w := a.kube.For(owner)
	if err := w.Patch(t.Context(), o, changed(o)); !apierrors.IsConflict(err) {
		t.Errorf("patch: %v, want a conflict", err)
	}
	if w.Writes() != 0 {
		t.Errorf("%d writes counted", w.Writes())
	}
	a.stale(false, "a refused write")
}

// TestLostAnswers: a write without an answer is looked up before anything else is decided, whatever came of it.
func TestLostAnswers(t *testing.T) {
	timeout := apierrors.NewTimeoutError("slow", 1)
	for name, tt := range map[string]struct {
		answer error
		stored bool
	}{
		"no connection, done":   {errors.New("connection reset"), true},
		"no connection, undone": {errors.New("connection reset"), false},
		"time-out, done":        {timeout, true},
		"time-out, undone":      {timeout, false},
		"500, done":             {apierrors.NewInternalError(errors.New("etcd")), true},
		"cut short, undone":     {fmt.Errorf("send: %w", context.DeadlineExceeded), false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			o := a.have("it")
			a.answer, a.stored = tt.answer, tt.stored
			if err := a.kube.For(owner).Patch(t.Context(), o, changed(o)); err == nil {
				t.Fatal("no error")
			}
			a.stale(true, "nothing is known yet")
			if tt.stored {
				a.stale(true, "the cache still shows the state before")
			}
			a.follow()
			a.stale(false, "the cache shows what came of it")
		})
	}
	t.Run("a creation that was not done", func(t *testing.T) {
		a := newAPI(t)
		a.answer, a.stored = errors.New("connection reset"), false
		if err := a.kube.For(owner).Create(t.Context(), thing("new")); err == nil {
			t.Fatal("no error")
		}
		a.stale(true, "nothing is known yet")
		a.stale(false, "it is not there")
	})
	t.Run("a refusal is an answer", func(t *testing.T) {
		a := newAPI(t)
		o := a.have("it")
		a.answer, a.stored = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "it", nil), false
		if err := a.kube.For(owner).Patch(t.Context(), o, changed(o)); !apierrors.IsForbidden(err) {
			t.Fatal(err)
		}
		a.stale(false, "refused")
	})
}

// TestRemovedByOthers: what the cache will never show is not waited for for ever.
func TestRemovedByOthers(t *testing.T) {
	a := newAPI(t)
	o := a.have("it")
	must(t, a.kube.For(owner).Create(t.Context(), thing("brief")))
	must(t, a.kube.For(owner).Patch(t.Context(), o, changed(o)))
	for _, name := range []string{"brief", "it"} {
		must(t, a.live.Delete(t.Context(), thing(name)))
	}
	a.follow()
	a.stale(true, "at first the cache may just lag")
	a.now = a.now.Add(doubt + time.Second)
	a.stale(false, "the API server says so too")
}

func TestMadeAnewUnderTheSameName(t *testing.T) {
	a := newAPI(t)
	o := a.have("it")
	must(t, a.kube.For(owner).Delete(t.Context(), o))
	a.stale(true, "the cache still shows it")
	anew := thing("it")
	anew.UID = "another"
	must(t, a.live.Create(t.Context(), anew))
	a.follow()
	a.stale(false, "another object of its name")
	must(t, a.kube.For(owner).Delete(t.Context(), thing("never")))
}

func TestForget(t *testing.T) {
	a := newAPI(t)
	must(t, a.kube.For(owner).Create(t.Context(), thing("new")))
	a.kube.Forget(owner)
	a.stale(false, "forgotten")
}
