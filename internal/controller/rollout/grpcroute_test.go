package rollout

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

var grpcRouteKind = schema.GroupVersionKind{Group: routeKind.Group, Version: "v1", Kind: "GRPCRoute"}

// meshRoute is webRoute for gRPC, and for the clients of a mesh: its parent is the Service of shop.
func meshRoute() *unstructured.Unstructured {
	u := webRoute()
	u.SetGroupVersionKind(grpcRouteKind)
	spec := u.Object["spec"].(map[string]any)
	spec["parentRefs"] = []any{map[string]any{"group": "", "kind": "Service", "name": shop}}
	spec["rules"].([]any)[0].(map[string]any)["matches"] = []any{
		map[string]any{"method": map[string]any{"service": "shop.v1.Cart"}},
	}
	return u
}

// TestGRPCRoute: a release through a GRPCRoute of a mesh, straight through, aborted, and with the process killed after
// every second write. The route comes back as the team has it.
func TestGRPCRoute(t *testing.T) {
	t.Parallel()
	every := 2
	if testing.Short() {
		every = 10
	}
	layer := v1alpha1.TrafficLayer{GRPCRoute: &v1alpha1.GRPCRouteReference{Name: "web"}}
	for verb, phase := range ends {
		t.Run(string(verb), func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n += every {
				c, hit := &crowd{cluster: newCluster(t, both(layer, meshRoute())...), kind: grpcRouteKind}, ""
				c.settleBoth()
				before := c.route().Object["spec"]
				c.writes = nil
				c.diesAfter(n, &hit)
				c.release2(shop)
				c.settleBoth()
				c.wantRefs("shop 45, shop-canary 45, cart 10")
				c.decide(verb, "shop-1")
				c.settleBoth()
				what := fmt.Sprintf("write %d (%s)", n, hit)
				if rel := c.cluster.release("shop-1"); rel == nil || rel.Status.Phase != phase {
					t.Errorf("%s: the release should be %s; %s", what, phase, c.tells())
				}
				if diff := cmp.Diff(before, c.route().Object["spec"]); diff != "" {
					t.Errorf("%s: the route is not as it was:\n%s", what, diff)
				}
				c.wantEnded()
				if n > 0 && hit == "" || t.Failed() {
					return
				}
			}
		})
	}
}
