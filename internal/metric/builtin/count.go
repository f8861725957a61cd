package builtin

import (
	"slices"
	"strings"
)

// Counts says whether the metrics of that name count what comes by a traffic layer, which is named by its field in
// spec.traffic: "ingress".
func Counts(name, layer string) bool { return slices.Contains(dialects[name].counts, layer) }

// Requests asks how many requests a Service's version has had since ever. It has no series before the first one.
func Requests(name, namespace, service string) string {
	d := dialects[name]
	return strings.NewReplacer("{{namespace}}", namespace, version, service).Replace("sum(" + d.both(d.requests, "") + ")")
}

// collectionWindow is the time in which collections are looked at, and how closely.
const collectionWindow = "[2m:2s]"

// Collection asks how often the counter of requests is collected, in seconds: for each target that has it, the time
// from the first to the last collection of two minutes, by their number. It has no answer before the second collection.
func Collection(name string) string {
	at := "max by (instance) (timestamp(" + dialects[name].requests + "))" + collectionWindow
	return "max((max_over_time(" + at + ") - min_over_time(" + at + ")) / (changes(" + at + ") > 0))"
}
