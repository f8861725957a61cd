package release

import (
	"fmt"
	"time"
)

// Problem is something in a Spec that cannot be done.
type Problem struct {
	// Field is the path in the Rollout, as "spec.canary.steps[1].weight".
	Field string
	// Message says what is wrong with it, Remedy what to do.
	Message, Remedy string
}

func (p Problem) String() string { return p.Field + ": " + p.Message + "; " + p.Remedy }

// Validate says what is wrong with a Spec. One without problems can be released.
func Validate(s Spec) []Problem {
	v := &validation{s: &s}
	v.revisions()
	v.way()
	v.layers()
	v.times()
	if s.Background && (s.BackgroundFrom < 0 || s.BackgroundFrom >= max(len(s.Steps), 1)) {
		v.add("spec.canary.analysis.fromStep", "there is no step of that name", "name one of spec.canary.steps, or leave "+
			"it out")
	}
	if len(s.Steps) == 0 {
		v.add("spec.canary.steps", "there are none", "name at least one step")
	}
	for i := range s.Steps {
		v.step(i)
	}
	return v.found
}

// ValidateHoldAt says what is wrong with the step at which a Rollout says that its releases stop.
func ValidateHoldAt(s Spec, name string) []Problem {
	for i := range s.Steps {
		if name == "" || nameOf(s.Steps, i) == name {
			return nil
		}
	}
	return []Problem{{"spec.holdAt", fmt.Sprintf("there is no step %q", name), "name one of the steps, or leave it out"}}
}

type validation struct {
	s     *Spec
	found []Problem
}

func (v *validation) add(field, message, remedy string) {
	v.found = append(v.found, Problem{Field: field, Message: message, Remedy: remedy})
}

// revisions may both be empty: a plan can be looked at before there is anything to release.
func (v *validation) revisions() {
	switch {
	case v.s.From == "" && v.s.To == "":
	case v.s.From == "":
		v.add("spec.from", "the stable revision is not known", "wait until the workload runs one revision alone")
	case v.s.To == "":
		v.add("spec.to", "the revision to release is not known", "change the workload's pod template")
	case v.s.From == v.s.To:
		v.add("spec.to", "it is the stable revision already", "change the workload's pod template")
	}
}

// way refuses what no row of way.go releases, and layers that do not go with the row.
func (v *validation) way() {
	s := v.s
	way, known := ways[s.Shape()]
	named := len(s.Layers)
	switch {
	case !s.Divide.known():
		v.add("spec.traffic", fmt.Sprintf("requests cannot be divided by %q", s.Divide),
			"name a traffic layer, or remove spec.traffic to divide by the number of pods")
	case !known:
		v.add("spec.workload.kind", fmt.Sprintf("there is no way to release a workload %s and whose releases end with %q",
			s.Traits.places(), s.Traits.Finish), "name a Deployment")
	case way.layered && named == 0:
		v.add("spec.traffic", "requests are to be divided by traffic layers, and none is named",
			"name one, or remove spec.traffic to divide by the number of pods")
	case !way.layered && named > 0:
		v.add("spec.traffic", fmt.Sprintf("it names %s, but requests are to be divided by %s", plural(named, "layer"),
			s.Divide), "remove spec.traffic")
	case way.apart && s.Traits.Apart == Never:
		v.add("spec.traffic", "nothing that a Service can select by tells this workload's new pods from the old ones, "+
			"so no layer can lead to the one or the other", "remove spec.traffic to divide by the number of pods")
	}
}

// places says where the new pods run, for people.
func (t Traits) places() string {
	if t.Beside {
		return "whose new pods run beside the old ones"
	}
	return "whose new pods take the places of the old ones"
}

func (v *validation) layers() {
	for i, l := range v.s.Layers {
		field := fmt.Sprintf("spec.traffic[%d]", i)
		if l == "" {
			v.add(field, "it names nothing", "name a traffic layer")
		}
		for _, former := range v.s.Layers[:i] {
			if former == l {
				v.add(field, l+" is named twice", "remove one of the two")
				break
			}
		}
	}
}

func (v *validation) times() {
	v.positive("spec.progressDeadline", v.s.ProgressDeadline)
	v.positive("spec.releaseDeadline", v.s.ReleaseDeadline)
	switch {
	case v.s.KeepOld < 0:
		v.add("spec.canary.keepOld", fmt.Sprintf("%s is negative", v.s.KeepOld), "set it to 0s or more")
	case v.s.KeepOld > 0 && !v.s.way().apart:
		v.add("spec.canary.keepOld", "the Services lead to all pods, so that old ones that stay would get requests",
			"name a traffic layer in spec.traffic, or remove keepOld")
	}
	if v.s.DrainDelay < 0 {
		v.add("spec.drainDelay", fmt.Sprintf("%s is negative", v.s.DrainDelay), "set it to 0s or more")
	}
	if v.s.Settle > 0 && v.s.Settle >= v.s.ProgressDeadline && v.s.ProgressDeadline > 0 {
		v.add("spec.traffic[].settle", fmt.Sprintf("%s is not less than spec.progressDeadline (%s), so that no step could "+
			"come into force in time",
			v.s.Settle, v.s.ProgressDeadline), "raise progressDeadline, or lower settle")
	}
	switch v.s.OnFailure {
	case FailureAborts, FailurePauses:
	default:
		v.add("spec.onFailure", fmt.Sprintf("%q is not known", v.s.OnFailure), "use abort or pause")
	}
	switch v.s.OnStableDown {
	case "", StableDownWaits, StableDownPromotes:
	default:
		v.add("spec.onStableDown", fmt.Sprintf("%q is not known", v.s.OnStableDown), "use wait or promote")
	}
}

func (v *validation) positive(field string, d time.Duration) {
	if d <= 0 {
		v.add(field, fmt.Sprintf("%s is no time to wait", d), "set it to more than 0s")
	}
}

func (v *validation) step(i int) {
	st := &v.s.Steps[i]
	field := fmt.Sprintf("spec.canary.steps[%d]", i)
	v.weight(field, i, st)
	if st.Share < 0 || st.Share > 100 {
		v.add(field+".replicas", fmt.Sprintf("%d%% is not a share of the workload's pods", st.Share), "use 1% to 100%")
	}
	if st.Replicas < 0 {
		v.add(field+".replicas", fmt.Sprintf("%d is negative", st.Replicas), "set it to 1 or more, or leave it out")
	}
	for j := range v.s.Steps[:i] {
		if nameOf(v.s.Steps, j) == nameOf(v.s.Steps, i) {
			v.add(field+".name", fmt.Sprintf("%q is the name of step %d too", nameOf(v.s.Steps, i), j+1),
				"give each step a name of its own")
			break
		}
	}
	v.pause(field+".pause", st.Pause)
	v.approval(field+".approval", st.Approval)
	for j := range st.Matches {
		v.match(fmt.Sprintf("%s.match[%d]", field, j), &st.Matches[j])
	}
	if len(st.Matches) > 0 && !v.s.way().layered {
		v.add(field+".match", "requests cannot be told apart without a traffic layer",
			"name one in spec.traffic, or remove match")
	}
}

func (v *validation) weight(field string, i int, st *Step) {
	field += ".weight"
	switch {
	case st.Weight < 0 || st.Weight > 100:
		v.add(field, fmt.Sprintf("%d is not a percentage", st.Weight), "use 0 to 100")
	case i > 0 && st.Weight < v.s.Steps[i-1].Weight:
		v.add(field, fmt.Sprintf("%d is less than the step before has (%d)", st.Weight, v.s.Steps[i-1].Weight),
			"let weights rise or stay; to take a version back, abort the release")
	case st.Weight == 0 && !v.s.way().apart:
		v.add(field, "without a traffic layer any new pod gets requests, so that a weight of 0 cannot be kept",
			"use 1 or more, or name a traffic layer in spec.traffic")
	case st.Weight > 0 && st.Weight < 100 && v.s.way().switches:
		v.add(field, "a Service leads to one version alone, so it cannot divide requests", "use 0 or 100")
	}
}

func (v *validation) pause(field string, p Pause) {
	switch p.Kind {
	case PauseNone, PauseManual:
	case PauseTimed:
		if p.Duration < 0 {
			v.add(field+".duration", fmt.Sprintf("%s is negative", p.Duration), "set it to 0s or more, or leave it out to "+
				"wait for a person")
		}
	default:
		v.add(field, fmt.Sprintf("%q is no kind of pause", p.Kind), "use pause: {} or pause: {duration: ...}")
	}
}

func (v *validation) approval(field string, a *Approval) {
	switch {
	case a == nil:
	case len(a.Users)+len(a.Groups) == 0:
		v.add(field+".from", "nobody is named, so nobody may approve", "name users or groups")
	case a.Required < 1:
		v.add(field+".required", fmt.Sprintf("%d is none", a.Required), "set it to 1 or more")
	case len(a.Groups) == 0 && a.Required > len(a.Users):
		v.add(field+".required", fmt.Sprintf("%d approvals cannot come from %s", a.Required, plural(len(a.Users), "user")),
			"name more users, or groups")
	case a.ExpiresAfter <= 0:
		v.add(field+".expiresAfter", fmt.Sprintf("%s is no time to wait", a.ExpiresAfter), "set it to more than 0s")
	}
}

func (v *validation) match(field string, m *Match) {
	if len(m.Headers)+len(m.Cookies) == 0 {
		v.add(field, "it matches every request", "name at least one header or cookie")
	}
	for i, h := range m.Headers {
		at := fmt.Sprintf("%s.headers[%d]", field, i)
		if h.Name == "" {
			v.add(at+".name", "it is empty", "name the header")
		}
		if (h.Value == "") == (h.Regex == "") {
			v.add(at, "it needs a value or a regex, not both", "set one of the two")
		}
	}
	for i, c := range m.Cookies {
		if at := fmt.Sprintf("%s.cookies[%d]", field, i); c.Name == "" || c.Value == "" {
			v.add(at, "it needs a name and a value", "set both")
		}
	}
}
