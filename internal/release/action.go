package release

// Action is one thing to do to the world. Each is safe to repeat.
//
//sumtype:decl
type Action interface{ action() }

// SelectService points the team's Service at one version, or, with SelectsAll, gives it back as it was. A Hold
// with its original is written first, and removed last.
type SelectService struct {
	Service string
	To      Selection
}

// ScaleCanary makes the canary's ReplicaSet have so many pods, and creates it if need be.
type ScaleCanary struct{ Replicas int }

// EnsureCanaryService makes the canary twin of a Service.
type EnsureCanaryService struct{ Service string }

// RemoveCanaryService removes it.
type RemoveCanaryService struct{ Service string }

// Route sets one layer's weight and matches.
type Route struct {
	Layer   string
	Weight  int
	Matches []Match
}

// Unroute gives one layer back as it was.
type Unroute struct{ Layer string }

// HandOver gives the canary's ReplicaSet to the workload, which then removes its old one. It may be cut short and
// repeated. With KeepOld the release takes the old one first, so that its pods stay.
type HandOver struct{ KeepOld bool }

// ScaleOld makes the old ReplicaSet, which the release has taken, have so many pods.
type ScaleOld struct{ Replicas int }

// GiveOld gives the old ReplicaSet back to the workload; where that is gone, it is removed.
type GiveOld struct{}

// PauseWorkload pauses the workload: somebody has resumed it although its new revision is being released.
type PauseWorkload struct{}

// TakeBack takes from the workload what it must not have: the canary's ReplicaSet (an edit or a change of scale crossed
// the hand-over), and those that it has made while it was resumed.
type TakeBack struct{}

// RemoveLoose removes the ReplicaSets that were taken from the workload beside the canary's.
type RemoveLoose struct{}

// ResumeWorkload ends the pause of the workload, so that it is what its template says.
type ResumeWorkload struct{}

// RevertTemplate writes the stable template back to the workload, and resumes it in the same write.
type RevertTemplate struct{}

// RemoveCanary removes the canary's ReplicaSet, which has no pods, also one in the workload's history.
type RemoveCanary struct{}

// Analyse begins an analysis. Once begun it is not begun again.
type Analyse struct{ ID AnalysisID }

// ConcludeAnalysis has an analysis come to an end: metrics without a count stop being measured.
type ConcludeAnalysis struct{ ID AnalysisID }

func (SelectService) action()       {}
func (ScaleCanary) action()         {}
func (EnsureCanaryService) action() {}
func (RemoveCanaryService) action() {}
func (Route) action()               {}
func (Unroute) action()             {}
func (HandOver) action()            {}
func (ScaleOld) action()            {}
func (GiveOld) action()             {}
func (PauseWorkload) action()       {}
func (RemoveLoose) action()         {}
func (TakeBack) action()            {}
func (ResumeWorkload) action()      {}
func (RevertTemplate) action()      {}
func (RemoveCanary) action()        {}
func (Analyse) action()             {}
func (ConcludeAnalysis) action()    {}
