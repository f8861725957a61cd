package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/toy"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/view"
)

// TestLayerOfWhateverKind: a layer is shown by what its provider reads, whatever its kind and however many objects it
// has. Nothing here knows the toy, which borrows the field httpRoute.
func TestLayerOfWhateverKind(t *testing.T) {
	kinds := translate.LayerKinds{{Field: "httpRoute", New: func(l v1alpha1.TrafficLayer) traffic.Provider {
		if l.HTTPRoute == nil {
			return toy.New("")
		}
		return toy.New(l.HTTPRoute.Name)
	}}}
	entry := []v1alpha1.TrafficLayer{{HTTPRoute: &v1alpha1.HTTPRouteReference{Name: "web"}}}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "demo", Name: name, UID: types.UID("uid-" + name)}
	}
	pods := map[string]string{"app": "shop"}
	ro := &v1alpha1.Rollout{ObjectMeta: meta("shop"), Spec: v1alpha1.RolloutSpec{Traffic: entry}}
	rel := &v1alpha1.Release{
		ObjectMeta: meta("shop-1"),
		Spec:       v1alpha1.ReleaseSpec{Rollout: "shop", Plan: v1alpha1.ReleasePlan{Traffic: entry}},
		Status:     v1alpha1.ReleaseStatus{Phase: v1alpha1.ReleaseProgressing},
	}
	d := &appsv1.Deployment{ObjectMeta: meta("shop")}
	d.Spec.Template.Labels = pods
	owned := []metav1.OwnerReference{*metav1.NewControllerRef(rel, v1alpha1.GroupVersion.WithKind("Release"))}
	stable := &corev1.Service{ObjectMeta: meta("shop"), Spec: corev1.ServiceSpec{Selector: pods}}
	twin := &corev1.Service{
		ObjectMeta: meta("shop-canary"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "shop", "version": "2"}},
	}
	twin.OwnerReferences = owned
	pool := naming.CanaryObject("web", "shop")
	objects := []*unstructured.Unstructured{
		toyObject(t, toy.Router, "web", `{"spec": {"routes": [
			{"service": "shop", "canary": {"pool": "`+pool+`", "percent": 25}}
		]}}`),
		toyObject(t, toy.Pool, pool, `{"spec": {"selector": {"app": "shop", "version": "2"}}}`),
	}
	objects[1].SetOwnerReferences(owned)
	hold := &v1alpha1.Hold{ObjectMeta: meta("router.web"), Spec: v1alpha1.HoldSpec{
		Target:   v1alpha1.HoldTarget{APIVersion: "toy.example.com/v1", Kind: "Router", Name: "web"},
		Original: &runtime.RawExtension{Raw: []byte(`{"routes": [{"service": "shop"}]}`)},
		Shares: []v1alpha1.HoldShare{{
			Rollout: "shop", Release: "shop-1", UID: string(rel.UID),
			Services: []v1alpha1.HoldService{{Stable: "shop", Canary: "shop-canary"}},
		}},
	}}
	b := fake.NewClientBuilder().WithScheme(newScheme()).WithRESTMapper(newMapper(kinds)).
		WithObjects(stable, twin, hold)
	for _, u := range objects {
		b = b.WithObjects(u)
	}
	c := b.Build()
	s := sources{objects: c, routes: c, layers: kinds, now: func() time.Time { return testNow }}
	look := func() view.Layer {
		o := &view.Objects{Subject: view.Subject{Rollout: ro, Release: rel}, Workload: d}
		s.addTraffic(t.Context(), o)
		if len(o.Layers) != 1 || len(o.Unread) > 0 {
			t.Fatalf("layers %+v, unread %v", o.Layers, o.Unread)
		}
		return o.Layers[0]
	}
	l := look()
	if l.Name != "httproute/web" || l.Text != "25% to the canary" || !l.Routed {
		t.Errorf("%s: %s, routed %v", l.Name, l.Text, l.Routed)
	}
	if !slices.Equal(l.Leads, []string{"shop"}) || l.Unclear {
		t.Error("it leads elsewhere")
	}
	if err := c.Delete(t.Context(), objects[1]); err != nil {
		t.Fatal(err)
	}
	const changed = "25% to the canary; Router web, its RuleSet or its Pool was changed"
	if l := look(); !strings.HasPrefix(l.Text, changed) {
		t.Errorf("without the Pool: %s", l.Text)
	}
}

func toyObject(t *testing.T, kind schema.GroupVersionKind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(spec), &u.Object); err != nil { // Whole numbers are whole.
		t.Fatal(err)
	}
	u.SetGroupVersionKind(kind)
	u.SetNamespace("demo")
	u.SetName(name)
	return u
}
