package rollout

import (
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// readMemory is what the release remembers. One that has written nothing yet began when it was made; one whose memory
// somebody has taken away is at no step that there is, and says so.
func readMemory(rel *v1alpha1.Release, now time.Time) release.Memory {
	m, began := rel.Status.Memory, timeOf(rel.Status.StartedAt)
	if began.IsZero() {
		began = rel.CreationTimestamp.Time
	}
	if began.IsZero() {
		began = now
	}
	switch {
	case m == nil && rel.Status.Phase != "":
		m = &v1alpha1.ReleaseMemory{Step: -1}
	case m == nil:
		return release.Begin(began)
	}
	return release.Memory{
		Phase: release.Phase(rel.Status.Phase), Step: int(m.Step), Reached: int(m.Reached),
		StartedAt: began, StepStartedAt: microOf(m.StepStartedAt), StepReachedAt: microOf(m.StepReachedAt),
		Stood: durationOf(m.Stood), Losses: int(m.Losses),
		Promoted: m.Promoted, Full: m.Full, PromotedTo: int(m.PromotedTo),
		PausedBy: m.PausedBy, PausedAt: microOf(m.PausedAt),
		Layers: readLayers(m.Layers), DrainFrom: microOf(m.DrainFrom), DownSince: microOf(m.DownSince), StoodIn: m.StoodIn,
		KeptFrom: microOf(m.KeptFrom), HandedOver: m.HandedOver, Overdue: m.Overdue,
		Measured: int(m.Measured), MeasuredBackground: int(m.MeasuredBackground), Waived: m.Waived,
		WaivedBackground: m.WaivedBackground,
		Told:             release.Verdict(m.Told), ToldBackground: release.Verdict(m.ToldBackground),
		AskedAt: microOf(m.AskedAt), Reminded: m.Reminded, Approvals: readApprovals(m.Approvals),
		OverriddenBy: m.OverriddenBy,
		End:          release.EndReason(m.End), EndMessage: m.EndMessage,
	}
}

func readApprovals(list []v1alpha1.ApprovalRecord) []release.Approved {
	var out []release.Approved
	for _, a := range list {
		out = append(out, release.Approved{User: a.User, Comment: a.Comment, At: a.At.Time})
	}
	return out
}

func writeApprovals(list []release.Approved) []v1alpha1.ApprovalRecord {
	var out []v1alpha1.ApprovalRecord
	for _, a := range list {
		out = append(out, v1alpha1.ApprovalRecord{User: a.User, Comment: clip(a.Comment), At: *micro(a.At)})
	}
	return out
}

// layersSeen keeps since when the layers of the releases under way have what they have. It is stored with whatever else
// a release has to remember, and not for its own sake; a restart sees it later.
type layersSeen struct {
	mu   sync.Mutex
	seen map[types.UID][]release.LayerSeen
}

func newLayersSeen() *layersSeen { return &layersSeen{seen: map[types.UID][]release.LayerSeen{}} }

// of is what this process has seen of a release's layers, or what was stored; that there is another layer counts only
// once it is stored.
func (l *layersSeen) of(id types.UID, stored []release.LayerSeen) []release.LayerSeen {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen := l.seen[id]; len(seen) == len(stored) {
		return seen
	}
	return stored
}

// keep notes what a decision has seen. A release that has ended needs it no more.
func (l *layersSeen) keep(id types.UID, m release.Memory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Phase.Terminal() {
		delete(l.seen, id)
	} else {
		l.seen[id] = m.Layers
	}
}

func readLayers(list []v1alpha1.LayerMemory) []release.LayerSeen {
	var out []release.LayerSeen
	for _, l := range list {
		out = append(out, release.LayerSeen{Layer: l.Name, Version: l.Version, Since: l.Since.Time})
	}
	return out
}

func writeLayers(list []release.LayerSeen) []v1alpha1.LayerMemory {
	var out []v1alpha1.LayerMemory
	for _, l := range list {
		out = append(out, v1alpha1.LayerMemory{Name: l.Layer, Version: l.Version, Since: *micro(l.Since)})
	}
	return out
}

// writeMemory is the same in the API's words, to the microsecond.
func writeMemory(m release.Memory, answers []v1alpha1.DecisionAnswer) *v1alpha1.ReleaseMemory {
	return &v1alpha1.ReleaseMemory{
		Step: int32(m.Step), Reached: int32(m.Reached), StepStartedAt: micro(m.StepStartedAt),
		StepReachedAt: micro(m.StepReachedAt),
		Stood:         duration(m.Stood), Losses: int32(m.Losses),
		Promoted: m.Promoted, Full: m.Full, PromotedTo: int32(m.PromotedTo),
		PausedBy: m.PausedBy, PausedAt: micro(m.PausedAt),
		Layers: writeLayers(m.Layers), DrainFrom: micro(m.DrainFrom), DownSince: micro(m.DownSince), StoodIn: m.StoodIn,
		KeptFrom: micro(m.KeptFrom), HandedOver: m.HandedOver, Overdue: m.Overdue,
		Measured: int32(m.Measured), MeasuredBackground: int32(m.MeasuredBackground), Waived: m.Waived,
		WaivedBackground: m.WaivedBackground,
		Told:             string(m.Told), ToldBackground: string(m.ToldBackground),
		AskedAt: micro(m.AskedAt), Reminded: m.Reminded, Approvals: writeApprovals(m.Approvals), OverriddenBy: m.OverriddenBy,
		End: string(m.End), EndMessage: clip(m.EndMessage), Answers: answers,
	}
}

// answers are those that may not have reached their Decision yet, and the new ones.
func answers(w *world, rel *v1alpha1.Release, fresh []release.Answer) []v1alpha1.DecisionAnswer {
	var out []v1alpha1.DecisionAnswer
	if rel.Status.Memory != nil {
		for _, a := range rel.Status.Memory.Answers {
			if slices.ContainsFunc(w.decisions, func(d *v1alpha1.Decision) bool { return d.Name == a.Decision }) {
				out = append(out, a)
			}
		}
	}
	return append(out, inAPI(fresh)...)
}

// inAPI are answers as the API has them.
func inAPI(fresh []release.Answer) []v1alpha1.DecisionAnswer {
	out := make([]v1alpha1.DecisionAnswer, 0, len(fresh))
	for _, a := range fresh {
		outcome := v1alpha1.DecisionRefused
		if a.Applied {
			outcome = v1alpha1.DecisionApplied
		}
		out = append(out, v1alpha1.DecisionAnswer{Decision: a.ID, Outcome: outcome, Reason: a.Code, Message: clip(a.Message)})
	}
	return out
}

// duration is nil for zero, so that the status does not show what is not there.
func duration(d time.Duration) *metav1.Duration {
	if d == 0 {
		return nil
	}
	return &metav1.Duration{Duration: d}
}

func durationOf(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}

// micro is a time as the API stores it, nil for none. A MicroTime has microseconds; the rest is cut off here, so that
// a time which is read back equals the one that was written.
func micro(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	return &metav1.MicroTime{Time: t.Truncate(time.Microsecond)}
}

func microOf(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// clip keeps a sentence within the API's bound of 1024 characters.
func clip(s string) string {
	const limit = 1024
	if len(s) <= limit {
		return s
	}
	// A character takes up to four bytes, so a quarter of the limit fits whatever the language.
	return string([]rune(s)[:min(len([]rune(s)), limit/4-1)]) + "…"
}
