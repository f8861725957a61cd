package release

import "fmt"

// This file has what cannot be done. It is refused before anything moves, and the workload is held all the same.

// refused says why the spec is refused, if it is.
func (r *rest) refused() finding {
	for _, look := range []func() string{r.trouble, r.unproven, r.invalid, r.leaving, r.undivided, r.problem} {
		if problem := look(); problem != "" {
			return r.stall(ReasonSpecRefused, "%s", problem)
		}
	}
	return goOn
}

func (r *rest) trouble() string { return r.o.Trouble }
func (r *rest) problem() string { return r.o.Problem }

// unproven: objects that bear the Rollout's label without being of a release of it.
func (r *rest) unproven() string {
	if len(r.o.Unproven) == 0 {
		return ""
	}
	return inWords("", r.o.Unproven) + ": labelled as of this Rollout, but no release of it made it; " +
		"it may come from a backup: remove it, or its label " + r.s.Label
}

func (r *rest) invalid() string {
	for _, problem := range Validate(r.s.Plan) {
		return problem.String()
	}
	return ""
}

// leaving: a Service would have no endpoint once the new revision is released. A Service of its own for one revision,
// to which no layer leads, is the team's business.
func (r *rest) leaving() string {
	for _, s := range r.o.Leaving {
		if !s.Routed && len(r.o.Services) > 0 {
			continue
		}
		return fmt.Sprintf("the Service %q selects %s, which the stable pods bear and the new ones do not (%s): "+
			"it would have no endpoint once the new revision is released; "+
			"change spec.selector of the Service, or the labels in spec.template of the %s",
			s.Name, s.Selector, r.o.Workload.Labels, r.s.Kind)
	}
	return ""
}

// undivided: where the number of pods divides the requests, a Service that leads to one of the two versions only leaves
// nothing to divide.
func (r *rest) undivided() string {
	if r.s.Plan.way().apart {
		return ""
	}
	for i := range r.o.Services {
		if s := &r.o.Services[i]; s.MissesStable {
			return Undivided(s.Name, s.Own, r.o.StableLabels)
		}
	}
	return ""
}

// Undivided refuses a Service that leads to one of the two versions only, in a release without layers.
func Undivided(service, own, stable string) string {
	return fmt.Sprintf("the Service %q selects %s, which the new pods bear and the stable ones do not (%s): "+
		"without spec.traffic both share by number what a Service gets, so it has to select both; "+
		"it stays on the stable pods meanwhile. "+
		"Give it a selector that both bear, or name a traffic layer in spec.traffic", service, own, stable)
}
