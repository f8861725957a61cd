package release

import "fmt"

// This file says for the condition Held of a Rollout whether new revisions of its workload are held.

// The codes of a Reason for it.
const (
	HeldByPolicy     = "AdmissionPolicy"
	HeldByPause      = "KeptPaused"
	NotHeldYet       = "NotTakenOver"
	NotHeldAnyLonger = "Resumed"
)

// Held says whether a new revision of the workload would be held, and why. It claims no more than what is seen: that
// the workload bears the Rollout's mark, and that the API server's policy is in force, or that the workload is
// paused. Because is why the Rollout stands where it stands.
func Held(s RestSpec, w RestWorkload, because Reason) (held bool, why Reason) {
	switch {
	case !w.Exists || !w.Ours:
		why = Reason{Code: NotHeldYet, Message: fmt.Sprintf("a new revision of %s %q would run at once", s.Kind, s.Workload)}
		if because.Code != "" {
			why.Code, why.Message = because.Code, why.Message+": "+because.Message
		}
		return false, why
	case !s.KeepPaused:
		return true, Reason{
			Code: HeldByPolicy, Message: "the API server holds a new revision in the write that makes it",
		}
	case w.Paused != NotPaused:
		return true, Reason{Code: HeldByPause, Message: "this cluster has no mutating admission policy of Sluice's, " +
			"so the workload is kept paused; its scale can still be changed"}
	}
	return false, Reason{Code: NotHeldAnyLonger, Message: fmt.Sprintf("somebody has resumed %s %q, "+
		"which this cluster has no admission policy to prevent; Sluice pauses it again", s.Kind, s.Workload)}
}
