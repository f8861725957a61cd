package rollout

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// runPods makes the pods that the ReplicaSets have, as the endpoints name them.
func (c *cluster) runPods() {
	c.t.Helper()
	for _, rs := range c.sets() {
		for _, name := range c.pods(rs.GetLabels()) {
			if strings.HasPrefix(name, rs.GetName()) && !c.get(&corev1.Pod{}, name) {
				c.add(pod(name, "shop:v1", &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs.GetName(), UID: rs.GetUID(), Controller: ptr.To(true)}))
			}
		}
	}
}

func pod(name, image string, owner *metav1.OwnerReference) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("pod-" + name), Labels: map[string]string{"app": shop}, Generation: 1},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
	}
	if owner != nil {
		p.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return p
}

// serves adds a pod to the endpoints of a Service, as its selector would.
func (c *cluster) serves(name string) {
	c.t.Helper()
	s := &discoveryv1.EndpointSlice{}
	c.get(s, "web")
	s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
		Addresses: []string{"10.0.0.9"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name},
	})
	c.update(s)
}

func (c *cluster) wantUnreleased(status metav1.ConditionStatus, reason, says string) {
	c.t.Helper()
	got := meta.FindStatusCondition(c.rollout().Status.Conditions, v1alpha1.ConditionUnreleasedPods)
	if got == nil || got.Status != status || got.Reason != reason || !strings.Contains(got.Message, says) {
		c.t.Errorf("condition UnreleasedPods is %+v, want %s %s with %q", got, status, reason, says)
	}
}

// TestFaultA13UnreleasedPodsAreSeen: a pod that no release brought, one of a ReplicaSet of its own, and one whose image
// was changed in place are told of while they serve. What stands in the pod's name, labels or annotations does not count.
func TestFaultA13UnreleasedPodsAreSeen(t *testing.T) {
	t.Parallel()
	ours := func(c *cluster) *metav1.OwnerReference {
		rs := c.sets()[0]
		return &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs.GetName(), UID: rs.GetUID(), Controller: ptr.To(true)}
	}
	for name, tt := range map[string]struct {
		pod          func(*cluster) *corev1.Pod
		reason, says string
	}{
		"a bare pod of a likely name": {func(c *cluster) *corev1.Pod { return pod(c.sets()[0].GetName()+"-abcde", "evil:1", nil) }, v1alpha1.ReasonForeignPods, "evil:1, of no ReplicaSet"},
		"of another's ReplicaSet": {func(c *cluster) *corev1.Pod {
			owner := ours(c)
			owner.UID = "another"
			return pod("shop-other-abcde", "evil:2", owner)
		}, v1alpha1.ReasonForeignPods, "evil:2, of ReplicaSet shop-"},
		"an owner that does not control it": {func(c *cluster) *corev1.Pod {
			owner := ours(c)
			owner.Controller = nil
			return pod("shop-x", "evil:3", owner)
		}, v1alpha1.ReasonForeignPods, "evil:3, of no ReplicaSet"},
		"an image changed in place": {func(c *cluster) *corev1.Pod {
			p := pod("shop-edited", "evil:4", ours(c))
			p.Generation = 2
			return p
		}, v1alpha1.ReasonImageChanged, "shop-edited (evil:4)"},
		"made by hand, adopted by its labels": {func(c *cluster) *corev1.Pod {
			return pod("shop-adopted", "evil:5", ours(c))
		}, v1alpha1.ReasonImageChanged, "shop-adopted (evil:5)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(canary(50))...)
			c.kubernetes()
			c.runPods()
			c.settle()
			c.wantUnreleased(metav1.ConditionFalse, v1alpha1.ReasonNoneSeen, "")
			p := tt.pod(c)
			c.add(p)
			c.serves(p.Name)
			c.now = c.now.Add(lookEvery)
			c.mustLook()
			c.wantUnreleased(metav1.ConditionTrue, tt.reason, tt.says)
			c.delete(p)
			c.kubernetes()
			c.now = c.now.Add(lookEvery)
			c.mustLook()
			c.wantUnreleased(metav1.ConditionFalse, v1alpha1.ReasonNoneSeen, "")
		})
	}
}

// TestSameImage: an image that a webhook has rewritten in the create is the same.
func TestSameImage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"shop:v1", "mirror.example:5000/hub/shop:v1", true},
		{"team/shop:v1", "team/shop@sha256:0123", true},
		{"team/shop:v1", "team/shop:v1@sha256:0123", true},
		{"shop", "shop:latest", true},
		{"shop:v1", "shop:v2", false},
		{"shop:v1", "mirror.example:5000/hub/shop", false},
		{"shop:v1", "evil:v1", false},
	} {
		if sameImage(tt.a, tt.b) != tt.same || sameImage(tt.b, tt.a) != tt.same {
			t.Errorf("%s and %s: the same: %v", tt.a, tt.b, !tt.same)
		}
	}
}

// TestFaultA13LooksAreFew: nothing is read while no endpoint changes, nor more often than lookEvery when they do.
func TestFaultA13LooksAreFew(t *testing.T) {
	t.Parallel()
	l := &looks{}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if due, _ := l.due("a", "1", now, 0); !due {
		t.Error("the first look is not made")
	}
	if due, at := l.due("a", "1", now.Add(time.Hour), 0); due || !at.IsZero() {
		t.Error("looks again although nothing has changed")
	}
	if due, at := l.due("b", "1", now, 0); due || at != now.Add(lookApart) {
		t.Errorf("two look at once: %v, %v", due, at)
	}
	if due, at := l.due("a", "2", now.Add(time.Second), 0); due || at != now.Add(lookEvery) {
		t.Errorf("looks too often: %v, %v", due, at)
	}
	if due, _ := l.due("a", "2", now.Add(lookEvery), 0); !due {
		t.Error("does not look after a change")
	}
}

// TestFaultA13RoutesPastTheWeight: a route of somebody else's that leads to the Service of the new pods is told of, whatever
// kind of route it is.
func TestFaultA13RoutesPastTheWeight(t *testing.T) {
	t.Parallel()
	ingress := func() client.Object {
		return &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "past", UID: "past"},
			Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "web-canary", Port: networkingv1.ServiceBackendPort{Number: 80}},
			}},
		}
	}
	httpRoute := func() client.Object {
		u := untyped(routeKind)
		u.SetNamespace(namespace)
		u.SetName("past")
		u.SetUID("past")
		u.Object["spec"] = map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"name": "web-canary", "port": int64(80)}}}}}
		return u
	}
	service := func() client.Object { // Of a label that somebody has put on a pod.
		return &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "past-abcde", UID: "past", Labels: map[string]string{discoveryv1.LabelServiceName: "past"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
	}
	for kind, route := range map[string]func() client.Object{"Ingress": ingress, "HTTPRoute": httpRoute, "Service": service} {
		t.Run(kind, func(t *testing.T) {
			c := newCluster(t, team(canary(50))...)
			c.kubernetes()
			c.settle()
			c.setImage("shop:v2")
			c.settle()
			c.runPods()
			o := route()
			says := kind + " past leads to Service web-canary"
			if slice, is := o.(*discoveryv1.EndpointSlice); is {
				canary := c.named(c.setOf("shop:v2"))
				slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: canary.GetName() + "-abcde"}}}
				says = "Service past leads to pods of the new revision"
			}
			c.add(o)
			c.now = c.now.Add(recheck)
			c.mustLook()
			c.wantUnreleased(metav1.ConditionTrue, v1alpha1.ReasonForeignRoute, says)
		})
	}
}
