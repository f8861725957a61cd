package gatewayapi_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

// TestFaultC7Settle: Accepted says that a route is valid, and not that it is served, so that each gateway is given its time
// after it: the slowest of a route's counts, and one that nobody has measured gets a safe one.
func TestFaultC7Settle(t *testing.T) {
	for _, c := range []struct {
		by   []string
		want time.Duration
	}{
		{nil, 5 * time.Second},
		{[]string{"traefik.io/gateway-controller"}, 4 * time.Second},
		{[]string{"nobody.example/knows"}, 5 * time.Second},
		{[]string{"traefik.io/gateway-controller", "nobody.example/knows"}, 5 * time.Second},
	} {
		var parents []any
		for _, name := range c.by {
			parents = append(parents, map[string]any{"controllerName": name})
		}
		p := gatewayapi.NewHTTPRoute("web")
		route := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"parents": parents}}}
		w := traffic.World{Objects: traffictest.Objects{p.Objects(traffic.World{})[0].Ref: route}}
		if got := p.Read(w).Settle; got != c.want {
			t.Errorf("%v: %s, want %s", c.by, got, c.want)
		}
	}
}
