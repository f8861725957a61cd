package ingress

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Rival is another canary Ingress for requests that the layer is to divide. ingress-nginx heeds one canary of a
// backend, the oldest, and says nothing of the others.
type Rival struct {
	Ingress *unstructured.Unstructured
	// Host and Path that it shares with an Ingress that leads to the workload.
	Host, Path string
}

// Rivals finds the other canaries among w.Others, of whatever name and namespace. A canary belongs to the backend of its
// host and path, so that one of another Ingress of the same Service is a rival too.
func Rivals(w traffic.World) []Rival {
	if w.Route == nil {
		return nil
	}
	led := leading(w)
	var out []Rival
	for _, other := range w.Others {
		if !isCanary(other.GetAnnotations()) || className(other) != className(w.Route) ||
			isSame(other, w.Route) || isOurs(w, other) {
			continue
		}
		for _, l := range locations(spec(other), nil) {
			if led[l] {
				out = append(out, Rival{Ingress: other, Host: l.host, Path: l.path})
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b Rival) int { return strings.Compare(nameOf(a.Ingress), nameOf(b.Ingress)) })
	return out
}

// leading are the locations of all Ingresses that lead to one of the workload's Services.
func leading(w traffic.World) map[location]bool {
	stable := stables(w.Backends)
	led := map[location]bool{}
	for _, u := range append([]*unstructured.Unstructured{w.Route}, w.Others...) {
		if u.GetNamespace() != w.Route.GetNamespace() || isCanary(u.GetAnnotations()) || className(u) != className(w.Route) {
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
		out[b.Stable] = true
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
func isOurs(w traffic.World, u *unstructured.Unstructured) bool {
	return isSame(u, w.Beside) || u.GetNamespace() == w.Route.GetNamespace() && u.GetName() == naming.CanaryIngress(w.Route.GetName(), w.Rollout)
}

func isSame(a, b *unstructured.Unstructured) bool {
	return b != nil && a.GetNamespace() == b.GetNamespace() && a.GetName() == b.GetName()
}

func nameOf(u *unstructured.Unstructured) string { return u.GetNamespace() + "/" + u.GetName() }

// String names a rival, and says what to do.
func (r Rival) String() string {
	host := r.Host
	if host == "" {
		host = "any host"
	}
	return fmt.Sprintf("Ingress %s is a canary of %s%s already (annotation %s), and ingress-nginx heeds one canary alone: remove it, or name its header in spec.canary.steps[].match instead",
		nameOf(r.Ingress), host, r.Path, canaryOn)
}

// Contention implements traffic.Contended.
func (Provider) Contention(w traffic.World) string {
	if rivals := Rivals(w); len(rivals) > 0 {
		return rivals[0].String()
	}
	return ""
}
