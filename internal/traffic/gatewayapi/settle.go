package gatewayapi

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Accepted says that a route is valid and attached; the Gateway API has no condition of a route that says that requests
// go by it. So each gateway is given time after its report, by the controller that writes it.
var settleBy = map[string]time.Duration{
	// Traefik reports while it reads, and puts what it has read in force up to 2 s later (providersThrottleDuration),
	// which takes a moment itself: 2.7 s at most were measured.
	"traefik.io/gateway-controller": 4 * time.Second,
	// The gateway of Sluice's own playground behaves like Traefik.
	"sluice.dev/playground": 4 * time.Second,
}

// settleUnknown is for controllers that nobody has measured. Most report as soon as they have translated a route, and
// send it to their proxies within a second or two.
const settleUnknown = 5 * time.Second

// sticky says whether a rule asks for session persistence.
func sticky(rules []any) bool {
	return slices.ContainsFunc(rules, func(rule any) bool { return object(rule)["sessionPersistence"] != nil })
}

// settle is the longest time that one of the route's gateways needs.
func settle(route *unstructured.Unstructured) time.Duration {
	var longest time.Duration
	for _, report := range list(object(route.Object["status"])["parents"]) {
		by, known := settleBy[text(object(report)["controllerName"], "")]
		if !known {
			by = settleUnknown
		}
		longest = max(longest, by)
	}
	if longest == 0 {
		return settleUnknown
	}
	return longest
}

// version tells what the route says now from what it said before.
func version(route *unstructured.Unstructured) string {
	return fmt.Sprintf("%s/%d", route.GetUID(), route.GetGeneration())
}
