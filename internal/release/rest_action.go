package release

// RestAction is one thing to do while no release is under way. Each is safe to repeat. Some are actions of a release,
// too.
//
//sumtype:decl
type RestAction interface{ restAction() }

// AddFinalizer has the API server keep the Rollout until everything is given back, RemoveFinalizer lets it go.
type (
	AddFinalizer    struct{}
	RemoveFinalizer struct{}
)

// TakeOver marks the workload as the Rollout's. It is paused in the same write where it is kept paused, or where a
// revision runs free that was not released. No pod is touched.
type TakeOver struct{}

// GiveBack takes Sluice's marks off the workload, as its Rollout goes. A revision that was not released is not let
// loose by that: the stable template is written back in the same write.
type GiveBack struct{}

// KeepStable has the stable pods, and no others, outlive the workload for a while, in case that it is made anew.
type KeepStable struct{}

// RemakeStable brings the pods of the stable revision back, where somebody has deleted or edited what runs them.
type RemakeStable struct{}

// RemoveRemains ends the pods that a workload which is gone has left behind.
type RemoveRemains struct{}

// RemoveOrphans removes canary Services and Holds of Services that are gone.
type RemoveOrphans struct{}

// FreeRecords has the records of releases stay when the Rollout goes.
type FreeRecords struct{}

// RemoveRecord removes the record of a release, with the decisions on it.
type RemoveRecord struct{ Release string }

// RetryRelease notes on the record of a release that its revision is to be tried again. The answer to the decision is
// kept there in the same write: should the process end before the decision has it, the retry would be found done, and
// refused.
type RetryRelease struct{ Decision, Release string }

// WriteRevision notes in the status what somebody has decided to go back to, and then writes that revision's pod
// template to the workload, held, so that it gets a release of its own. Where the template is kept nowhere,
// RevisionGone answers the decision instead.
type WriteRevision struct {
	Decision, Release string
	To                Revision
	By                string
}

// StartRelease begins a release.
type StartRelease struct {
	From, To Revision
	Cause    Cause
}

// Cause is why there is a new revision.
type Cause string

// The causes.
const (
	CauseTemplateChanged Cause = "TemplateChanged"
	CauseRetry           Cause = "Retry"
	CauseRollback        Cause = "Rollback"
)

func (AddFinalizer) restAction()        {}
func (RemoveFinalizer) restAction()     {}
func (TakeOver) restAction()            {}
func (GiveBack) restAction()            {}
func (KeepStable) restAction()          {}
func (RemakeStable) restAction()        {}
func (RemoveRemains) restAction()       {}
func (RemoveOrphans) restAction()       {}
func (FreeRecords) restAction()         {}
func (RemoveRecord) restAction()        {}
func (RetryRelease) restAction()        {}
func (WriteRevision) restAction()       {}
func (StartRelease) restAction()        {}
func (SelectService) restAction()       {}
func (Unroute) restAction()             {}
func (RemoveCanaryService) restAction() {}
func (PauseWorkload) restAction()       {}
func (ResumeWorkload) restAction()      {}
