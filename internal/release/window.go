package release

import "strings"

// This file has the windows outside of which no release goes on, and the word that lets one through.

// The codes of an Answer to an override, and of one that comes while a window is shut.
const (
	AnswerOverridden         = "Overridden"
	RefusedAlreadyOverridden = "AlreadyOverridden"
	RefusedWindowShut        = "WindowShut"
	RefusedNothingShut       = "NothingShut"
)

func (p *pass) refuseOverride(d Decision) refusal {
	switch {
	case strings.TrimSpace(d.Comment) == "":
		return refusal{RefusedCommentMissing, "spec.comment is missing; say why the release goes on outside its windows"}
	case p.o.Shut.Window == "":
		return refusal{RefusedNothingShut, "no release window is shut now; override it when one is"}
	case p.m.OverriddenBy != "":
		return refusal{RefusedAlreadyOverridden, p.m.OverriddenBy + " has overridden the windows of this release already"}
	}
	return refusal{}
}

func (p *pass) shut() bool { return p.o.Shut.Window != "" && p.m.OverriddenBy == "" }

// window waits while a release window is shut: nothing is raised, and no step is left. A release that is being
// completed goes on to its end, and an abort never waits.
func (p *pass) window() Reason {
	if !p.shut() {
		return Reason{}
	}
	until := p.releaseDeadline()
	if opens := p.o.Shut.Opens; !opens.IsZero() && opens.Before(until) {
		until = opens
	}
	since := p.m.StepReachedAt
	if since.IsZero() {
		since = p.m.StartedAt
	}
	return p.until(ReasonWindowShut, p.o.Shut.Message, byOverrider, since, until)
}
