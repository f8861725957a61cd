package builtin

import "strings"

// Counts says whether the metrics of that name count what comes by an Ingress, or by an HTTPRoute.
func Counts(name string, httpRoute bool) bool {
	d := dialects[name]
	return httpRoute && d.httpRoute || !httpRoute && d.ingress
}

// Requests asks how many requests a Service's version has had since ever. It has no series before the first one.
func Requests(name, namespace, service string) string {
	d := dialects[name]
	return strings.NewReplacer("{{namespace}}", namespace, version, service).Replace("sum(" + d.both(d.requests, "") + ")")
}

// collectionWindow is the time in which collections are counted.
const collectionWindow = "120"

// Collection asks how often the counter of requests is collected, in seconds: the series that was collected most often in
// the last two minutes tells.
func Collection(name string) string {
	return collectionWindow + " / max(count_over_time(" + dialects[name].requests + "[" + collectionWindow + "s]))"
}
