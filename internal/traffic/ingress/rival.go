package ingress

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// rival is another canary Ingress for requests that the layer is to divide. ingress-nginx heeds one canary of a
// backend, the oldest, and says nothing of the others.
type rival struct {
	ingress *unstructured.Unstructured
	// host and path that it shares with an Ingress that leads to the workload.
	host, path string
}

// rivals finds the other canaries among v.Others, of whatever name and namespace. A canary belongs to the backend of
// its host and path, so that one of another Ingress of the same Service is a rival too.
func rivals(v view) []rival {
	if v.route == nil {
		return nil
	}
	led := leading(v)
	var out []rival
	for _, other := range v.Others {
		if !isCanary(other.GetAnnotations()) || className(other) != className(v.route) ||
			isSame(other, v.route) || isOurs(v, other) {
			continue
		}
		for _, l := range locations(spec(other), nil) {
			if led[l] {
				out = append(out, rival{ingress: other, host: l.host, path: l.path})
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b rival) int { return strings.Compare(nameOf(a.ingress), nameOf(b.ingress)) })
	return out
}

// leading are the locations of all Ingresses that lead to one of the workload's Services.
func leading(v view) map[location]bool {
	stable := stables(v.Backends)
	led := map[location]bool{}
	for _, u := range append([]*unstructured.Unstructured{v.route}, v.Others...) {
		if u.GetNamespace() != v.route.GetNamespace() || isCanary(u.GetAnnotations()) || className(u) != className(v.route) {
			continue
		}
		for _, l := range locations(spec(u), stable) {
			led[l] = true
		}
	}
	return led
}

// stables are the team's Services of a workload.
func stables(backends []traffic.Backend) map[string]bool {
	out := map[string]bool{}
	for _, b := range backends {
		out[b.Stable.Service] = true
	}
	return out
}

// locations are those of an Ingress that lead to one of these Services; to any if there is no list.
func locations(s map[string]any, services map[string]bool) []location {
	leads := func(backend any) bool {
		name, _ := object(object(backend)["service"])["name"].(string)
		return services == nil || services[name]
	}
	var out []location
	rooted := rootedHosts(list(s["rules"]))
	hosts := map[string]bool{}
	for _, r := range list(s["rules"]) {
		host, _ := object(r)["host"].(string)
		hosts[host] = true
		for _, p := range list(object(object(r)["http"])["paths"]) {
			if leads(object(p)["backend"]) {
				out = append(out, locationOf(strings.ToLower(host), object(p)))
			}
		}
	}
	if s["defaultBackend"] == nil || !leads(s["defaultBackend"]) {
		return out
	}
	if len(hosts) == 0 {
		hosts[""] = true
	}
	for host := range hosts {
		if !rooted[host] {
			out = append(out, location{host: strings.ToLower(host), path: "/"})
		}
	}
	return out
}

// isOurs says whether it is the canary Ingress of the layer itself, which may be made this very moment.
func isOurs(v view, u *unstructured.Unstructured) bool {
	return isSame(u, v.beside) ||
		u.GetNamespace() == v.route.GetNamespace() && u.GetName() == naming.CanaryObject(v.route.GetName(), v.Rollout)
}

func isSame(a, b *unstructured.Unstructured) bool {
	return b != nil && a.GetNamespace() == b.GetNamespace() && a.GetName() == b.GetName()
}

func nameOf(u *unstructured.Unstructured) string { return u.GetNamespace() + "/" + u.GetName() }

// String names a rival, and says what to do.
func (r rival) String() string {
	host := r.host
	if host == "" {
		host = "any host"
	}
	return fmt.Sprintf("Ingress %s is a canary of %s%s already (annotation %s), and ingress-nginx heeds one canary "+
		"alone: remove it, or name its header in spec.canary.steps[].match instead",
		nameOf(r.ingress), host, r.path, canaryOn)
}

// Contention names the first of the rivals.
func (p Provider) Contention(w traffic.World) string {
	if found := rivals(p.view(w)); len(found) > 0 {
		return found[0].String()
	}
	return ""
}
