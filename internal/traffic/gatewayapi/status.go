package gatewayapi

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// unaccepted says why the route, as it is now, is not in force everywhere; empty if it is. Every parent must
// have taken this generation: one that has not still sends requests as before. A parent Service that no controller
// reports on has no mesh behind it, and is left out where there are other parents.
func unaccepted(route *unstructured.Unstructured) string {
	parents := list(object(route.Object["spec"])["parentRefs"])
	if len(parents) == 0 {
		return "spec.parentRefs is empty: no gateway serves this route"
	}
	reports := list(object(route.Object["status"])["parents"])
	generation, reported, silent := route.GetGeneration(), false, ""
	for _, parent := range parents {
		id := parentIdentity(parent, route.GetNamespace())
		own := reportsOn(id, reports, route.GetNamespace())
		switch {
		case len(reports) == 0:
			return fmt.Sprintf("no %s has reported on generation %d yet", id.reporter(), generation)
		case len(own) == 0 && id.service():
			silent = id.silence(generation)
			continue
		}
		reported = true
		if problem := id.problem(own, generation); problem != "" {
			return problem
		}
	}
	if !reported {
		return silent
	}
	return ""
}

// reportsOn are those of the reports that are about this parent, one for each controller.
func reportsOn(parent identity, reports []any, namespace string) (out []any) {
	for _, report := range reports {
		if parentIdentity(object(report)["parentRef"], namespace) == parent {
			out = append(out, report)
		}
	}
	return out
}

// problem says why the parent has not taken the route. Several controllers may report on one Gateway, where all but one
// are gone: one report without a fault is enough. On a Service each mesh reports for its own clients, so that none
// may report a fault.
func (i identity) problem(reports []any, generation int64) string {
	problem, accepted, refused := i.silence(generation), false, false
	for _, report := range reports {
		found, current := fault(list(object(report)["conditions"]), generation)
		if found != "" {
			problem, refused = fmt.Sprintf("%s: %s", i, found), true
		} else if current {
			accepted = true
		}
	}
	if accepted && !(refused && i.service()) {
		return ""
	}
	return problem
}

// silence says that nobody has reported on the parent.
func (i identity) silence(generation int64) string {
	if i.service() {
		return fmt.Sprintf("no mesh has reported on %s for generation %d yet", i, generation)
	}
	return fmt.Sprintf("%s has not reported on generation %d yet", i, generation)
}

// identity of a parent within a route.
type identity struct {
	group, kind, namespace, name, section string
	port                                  int64
}

// service says whether the parent is a Service: then the route is for the clients of a mesh.
func (i identity) service() bool { return i.group == "" && i.kind == "Service" }

// reporter is what reports on the parent.
func (i identity) reporter() string {
	if i.service() {
		return "mesh"
	}
	return "gateway"
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
		return coreGroup(g)
	}
	return group
}

// coreGroup is the group of Services as the API has it, the empty one, also where it is called core, as in Linkerd.
func coreGroup(group string) string {
	if group == "core" {
		return ""
	}
	return group
}

// fault says what a report holds against the route, and whether it speaks of the generation at all. What an
// older report says counts for nothing either way. A report that names no generation, as Linkerd's, counts as one on
// this: there will be no other, and the time to settle begins with the write.
func fault(conditions []any, generation int64) (problem string, current bool) {
	settled := map[string]bool{}
	for _, c := range conditions {
		condition := object(c)
		observed, known := number(condition["observedGeneration"])
		if known && observed < generation {
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
