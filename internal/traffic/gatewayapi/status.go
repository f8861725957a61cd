package gatewayapi

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// unaccepted says why the route, as it is now, is not in force everywhere; empty if it is. Every parent must
// have taken this generation: one that has not still sends requests as before.
func unaccepted(route *unstructured.Unstructured) string {
	parents := list(object(route.Object["spec"])["parentRefs"])
	if len(parents) == 0 {
		return "spec.parentRefs is empty: no gateway serves this route"
	}
	reports := list(object(route.Object["status"])["parents"])
	for _, parent := range parents {
		if problem := parentProblem(route, parent, reports); problem != "" {
			return problem
		}
	}
	return ""
}

// parentProblem looks for one report on the parent without a fault; several controllers may have left one.
func parentProblem(route *unstructured.Unstructured, parent any, reports []any) string {
	generation := route.GetGeneration()
	identity := parentIdentity(parent, route.GetNamespace())
	problem := fmt.Sprintf("no gateway has reported on generation %d yet", generation)
	if len(reports) > 0 {
		problem = fmt.Sprintf("%s has not reported on generation %d yet", identity, generation)
	}
	for _, report := range reports {
		if parentIdentity(object(report)["parentRef"], route.GetNamespace()) != identity {
			continue
		}
		found, current := fault(list(object(report)["conditions"]), generation)
		if found == "" && current {
			return ""
		}
		if found != "" {
			problem = fmt.Sprintf("%s: %s", identity, found)
		}
	}
	return problem
}

// identity of a parent within a route.
type identity struct {
	group, kind, namespace, name, section string
	port                                  int64
}

// String names the parent for a person.
func (i identity) String() string {
	s := i.kind + " " + i.namespace + "/" + i.name
	if i.section != "" {
		s += " section " + i.section
	}
	if i.port != 0 {
		s += fmt.Sprintf(" port %d", i.port)
	}
	return s
}

func parentIdentity(v any, namespace string) identity {
	ref := object(v)
	port, _ := number(ref["port"])
	return identity{
		group:     groupOf(ref),
		kind:      text(ref["kind"], "Gateway"),
		namespace: text(ref["namespace"], namespace),
		name:      text(ref["name"], ""),
		section:   text(ref["sectionName"], ""),
		port:      port,
	}
}

// groupOf tells an absent group from the empty one, which is that of a mesh's Services.
func groupOf(ref map[string]any) string {
	if g, ok := ref["group"].(string); ok {
		return g
	}
	return "gateway.networking.k8s.io"
}

// fault says what a report holds against the route, and whether it speaks of the generation at all. What an
// older report says counts for nothing either way.
func fault(conditions []any, generation int64) (problem string, current bool) {
	settled := map[string]bool{}
	for _, c := range conditions {
		condition := object(c)
		observed, _ := number(condition["observedGeneration"])
		if observed < generation {
			continue
		}
		kind, status := text(condition["type"], ""), text(condition["status"], "")
		wanted := "True"
		switch kind {
		case "Accepted", "ResolvedRefs":
			settled[kind] = true
		case "PartiallyInvalid":
			wanted = "False"
		default:
			continue
		}
		if status != wanted && problem == "" {
			problem = fmt.Sprintf("%s is %s: %s", kind, text(condition["reason"], status),
				text(condition["message"], "no message"))
		}
	}
	return problem, settled["Accepted"] && settled["ResolvedRefs"]
}
