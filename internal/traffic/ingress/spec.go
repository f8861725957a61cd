package ingress

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// canarySpec is the team's spec with only those paths that lead to the workload, pointed at the canary.
func canarySpec(team map[string]any, twins map[string]string) map[string]any {
	out := map[string]any{}
	for _, field := range []string{"ingressClassName", "tls"} {
		if v, ok := team[field]; ok {
			out[field] = copied(v)
		}
	}
	rules := list(team["rules"])
	fallback := toCanary(object(team["defaultBackend"]), twins)
	if fallback != nil && len(rules) == 0 {
		out["defaultBackend"] = fallback
	}
	if kept := canaryRules(rules, fallback, twins); len(kept) > 0 {
		out["rules"] = kept
	}
	return out
}

// canaryRules keeps the rules with a path for the canary. Where the default backend serves a host's remaining
// requests, it becomes a path of that host: a default backend of the canary's own would also reach hosts of
// other Ingresses.
func canaryRules(rules []any, fallback map[string]any, twins map[string]string) []any {
	rooted := rootedHosts(rules)
	taken := map[location]bool{}
	var kept []any
	for _, r := range rules {
		rule := object(r)
		if rule == nil {
			continue
		}
		host, _ := rule["host"].(string)
		paths := canaryPaths(host, rule, twins, taken)
		if fallback != nil && !rooted[host] {
			rooted[host] = true
			paths = append(paths, map[string]any{"path": "/", "pathType": "Prefix", "backend": copied(fallback)})
		}
		if len(paths) > 0 {
			kept = append(kept, withPaths(rule, paths))
		}
	}
	return kept
}

// location is what ingress-nginx tells requests apart by. It takes every type of path but Exact for Prefix.
type location struct {
	host, path string
	exact      bool
}

// String names the location for a person.
func (l location) String() string {
	host := l.host
	if host == "" {
		host = "every host"
	}
	return host + l.path
}

func locationOf(host string, path map[string]any) location {
	at, _ := path["path"].(string)
	if at == "" {
		at = "/"
	}
	return location{host: host, path: at, exact: path["pathType"] == "Exact"}
}

// canaryPaths keeps the paths that lead to the workload. Of two for one location the first has it, and a
// canary of the second would take requests of the first's Service.
func canaryPaths(host string, rule map[string]any, twins map[string]string, taken map[location]bool) []any {
	var kept []any
	for _, p := range list(object(rule["http"])["paths"]) {
		path := object(p)
		at := locationOf(host, path)
		if taken[at] {
			continue
		}
		taken[at] = true
		backend := toCanary(object(path["backend"]), twins)
		if backend == nil {
			continue
		}
		path = copied(path)
		path["backend"] = backend
		kept = append(kept, path)
	}
	return kept
}

func withPaths(rule map[string]any, paths []any) map[string]any {
	out := copied(rule)
	http := object(out["http"])
	if http == nil {
		http = map[string]any{}
	}
	http["paths"] = paths
	out["http"] = http
	return out
}

// rootedHosts are those that serve their every path by a rule; an exact "/" serves only itself.
func rootedHosts(rules []any) map[string]bool {
	rooted := map[string]bool{}
	for _, r := range rules {
		rule := object(r)
		host, _ := rule["host"].(string)
		for _, p := range list(object(rule["http"])["paths"]) {
			if at := locationOf(host, object(p)); at.path == "/" && !at.exact {
				rooted[host] = true
			}
		}
	}
	return rooted
}

// toCanary points a copy of the backend at the canary twin; nil if it is not the workload's.
func toCanary(backend map[string]any, twins map[string]string) map[string]any {
	name, _ := object(backend["service"])["name"].(string)
	twin, ok := twins[name]
	if !ok {
		return nil
	}
	out := copied(backend)
	object(out["service"])["name"] = twin
	return out
}

// Targets are the Services of the Ingress's backends.
func (Provider) Targets(route *unstructured.Unstructured) []traffic.Target {
	return targets(spec(route))
}

func targets(team map[string]any) (out []traffic.Target) {
	add := func(backend map[string]any) {
		service := object(backend["service"])
		name, _ := service["name"].(string)
		if name == "" {
			return
		}
		port := object(service["port"])
		named, _ := port["name"].(string)
		number, _ := port["number"].(int64)
		out = append(out, traffic.Target{Service: name, Port: traffic.Port{Name: named, Number: number}})
	}
	add(object(team["defaultBackend"]))
	for _, r := range list(team["rules"]) {
		for _, p := range list(object(object(r)["http"])["paths"]) {
			add(object(object(p)["backend"]))
		}
	}
	return out
}

// backendNames lists the Services that the Ingress names, in order, each once.
func backendNames(team map[string]any) []string {
	var names []string
	for _, t := range targets(team) {
		if !slices.Contains(names, t.Service) {
			names = append(names, t.Service)
		}
	}
	return names
}

// object is v as a JSON object, nil if it is none.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// list is v as a JSON list, nil if it is none.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// same compares two JSON values.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }
