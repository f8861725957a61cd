package rollout

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
)

const keptBy = "example.com/keeps"

var canaryIngress = naming.CanaryObject("web", shop)

// TestFaultA4CanaryTakenAway: whoever may edit Ingresses and Services puts a finalizer on those of a release, or takes their
// owner off. The release still knows them: an abort, and a deletion of the Rollout, take every request off the new version.
func TestFaultA4CanaryTakenAway(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(client.Object){
		"finalizer": func(o client.Object) { o.SetFinalizers([]string{keptBy}) },
		"owner":     func(o client.Object) { o.SetOwnerReferences(nil) },
		"both":      func(o client.Object) { o.SetFinalizers([]string{keptBy}); o.SetOwnerReferences(nil) },
	} {
		for how, end := range map[string]func(c *cluster){
			"abort":    func(c *cluster) { c.decide(v1alpha1.VerbAbort, "shop-1") },
			"promote":  func(c *cluster) { c.decide(v1alpha1.VerbPromote, "shop-1") },
			"deletion": func(c *cluster) { c.delete(c.rollout()) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, team(canary(50))...)
				c.settle()
				c.setImage("shop:v2")
				c.settle()
				in, svc := &networkingv1.Ingress{}, &corev1.Service{}
				if !c.get(in, canaryIngress) || !c.get(svc, "web-canary") {
					t.Fatal("there is no canary")
				}
				for _, o := range []client.Object{in, svc} {
					take(o)
					c.update(o)
				}
				c.mustLook()
				end(c)
				c.settle()
				switch rel := c.release("shop-1"); {
				case how == "deletion" && c.rollout() != nil:
					t.Errorf("the Rollout is still there: %s", c.tells())
				case how == "abort" && rel.Status.Phase != v1alpha1.ReleaseAborted, how == "promote" && rel.Status.Phase != v1alpha1.ReleaseSucceeded:
					t.Errorf("the release is %s: %s", rel.Status.Phase, c.tells())
				}
				in = &networkingv1.Ingress{}
				if !c.get(in, canaryIngress) {
					return
				}
				if !slices.Contains(in.Finalizers, keptBy) {
					t.Errorf("the canary Ingress is left: %+v", in.ObjectMeta)
				}
				const canary = "nginx.ingress.kubernetes.io/canary"
				if in.Annotations[canary+"-weight"] != "0" || in.Annotations[canary] != "true" {
					t.Errorf("the canary Ingress is left with %v", in.Annotations)
				}
			})
		}
	}
}
