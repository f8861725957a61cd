package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/release"
)

// fact is one thing to tell of a Release.
type fact struct {
	// key is the same whenever and by whichever process the fact is found.
	key   string
	event notify.Event
	// also is the event as which it is told to whom event is not told.
	also notify.Event
	// wait: at is when what the release waits in began, which may be long before the wait did.
	wait bool
	at   time.Time

	release, rollout, title, text, step, who string
	until                                    time.Time
	fields                                   map[string]string
}

// factsOf finds what there is to tell of a release: what its record has, and what it waits for now. A wait that is over
// need not be told any more.
func factsOf(rel *v1alpha1.Release) []fact {
	out := []fact{started(rel)}
	for i := range rel.Status.Timeline {
		if f, ok := recorded(rel, &rel.Status.Timeline[i]); ok {
			out = append(out, f)
		}
	}
	if f, ok := waiting(rel); ok {
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b fact) int { return a.at.Compare(b.at) })
	return out
}

// factOf fills in what all facts of a release share.
func factOf(rel *v1alpha1.Release, e notify.Event, at metav1.Time, marks ...any) fact {
	f := fact{
		event: e, at: at.Truncate(time.Second), release: rel.Name, rollout: rel.Spec.Rollout,
		fields: map[string]string{},
	}
	f.key = fmt.Sprint(append([]any{rel.UID, " ", e, " "}, marks...)...)
	if image := images(rel.Spec.To); image != "" {
		f.fields[notify.FieldImage] = image
	}
	if rel.Spec.Author != "" {
		f.fields[notify.FieldAuthor] = rel.Spec.Author
	}
	return f
}

// started is told from the moment that the release is there. Its status may not say yet when it began.
func started(rel *v1alpha1.Release) fact {
	f := factOf(rel, notify.Started, rel.CreationTimestamp)
	f.text = images(rel.Spec.To)
	return f
}

// recorded is what an entry of the record has to tell.
func recorded(rel *v1alpha1.Release, e *v1alpha1.TimelineEntry) (fact, bool) {
	var f fact
	switch e.Reason {
	case string(release.AnalysisFailed), string(release.StepFailed):
		f = factOf(rel, notify.Failed, e.At, e.Reason, " ", e.At.Unix())
		f.step = rel.Status.StepSummary
	case "ApprovalReminder":
		f = factOf(rel, notify.Waiting, e.At, e.Reason, " ", e.At.Unix())
		f.step = rel.Status.StepSummary
		// Who can answer, and until when, as long as it is still asked.
		if w := rel.Status.WaitingFor; w != nil && w.Reason == release.ReasonAwaitingApproval {
			f.who, f.until = w.Who, timeOf(w.Until)
		}
	case string(release.Succeeded):
		f = factOf(rel, notify.Done, e.At)
		f.text = strings.TrimPrefix(e.Message, "released: ")
		return f, true
	case string(release.Aborted):
		f = factOf(rel, notify.Aborted, e.At)
	case string(release.Superseded):
		f = factOf(rel, notify.Aborted, e.At)
		f.title = fmt.Sprintf("%s/%s: release %s was superseded", rel.Namespace, rel.Spec.Rollout, rel.Name)
	default:
		return fact{}, false
	}
	f.text = e.Message
	return f, true
}

// waiting is the wait that a person can end, if the release is in one.
func waiting(rel *v1alpha1.Release) (fact, bool) {
	w := rel.Status.WaitingFor
	if w == nil || w.Since == nil || rel.Status.Phase.Terminal() {
		return fact{}, false
	}
	step := int32(0)
	if rel.Status.Memory != nil {
		step = rel.Status.Memory.Step
	}
	var f fact
	switch w.Reason {
	case release.ReasonPausedForPerson, release.ReasonAwaitingApproval:
		// Once in a step, also if its pods are lost and come back meanwhile.
		f = factOf(rel, notify.Waiting, *w.Since, w.Reason, " ", step)
	case release.ReasonAnalysisUnclear, release.ReasonStepFailed:
		f = factOf(rel, notify.Waiting, *w.Since, w.Reason, " ", step, " ", w.Since.Unix())
	case release.ReasonWindowShut:
		// A window that opens and shuts again has another end.
		f = factOf(rel, notify.Frozen, *w.Since, w.Reason, " ", step, " ", timeOf(w.Until).Unix())
		f.also = notify.Waiting
	default:
		return fact{}, false
	}
	f.wait, f.text, f.step, f.who, f.until = true, w.Message, rel.Status.StepSummary, w.Who, timeOf(w.Until)
	return f, true
}

// as is the event as which a fact is told to whom these events are told; empty for none. No events are all events.
func (f *fact) as(events []v1alpha1.NotifierEvent) notify.Event {
	for _, e := range []notify.Event{f.event, f.also} {
		if e != "" && (len(events) == 0 || slices.Contains(events, v1alpha1.NotifierEvent(e))) {
			return e
		}
	}
	return ""
}

// message of a fact, in the words of a template or, if there is none, in the usual ones. With an error the message can
// be sent all the same.
func (f *fact) message(namespace string, e notify.Event, t *notify.Template) (notify.Message, error) {
	return notify.Compose(t, notify.Message{
		Event: e, Namespace: namespace, Rollout: f.rollout, Release: f.release, Step: f.step, Title: f.title, Text: f.text,
		Who: f.who, Until: f.until, At: f.at, Fields: f.fields,
	})
}

// images of a revision, for people.
func images(r v1alpha1.Revision) string {
	var out []string
	for _, i := range r.Images {
		out = append(out, i.Image)
	}
	return strings.Join(out, ", ")
}

// timeOf is the zero time for none.
func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// byTime is the order in which facts are told.
func byTime(a, b fact) int {
	return cmp.Or(a.at.Compare(b.at), strings.Compare(a.rollout, b.rollout))
}
