package cli

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// tree draws a view so that a glance tells where the release stands, what it waits for and who can move it.
type tree struct {
	view    *view
	now     time.Time
	paint   painter
	program string
	// wide shows the names of ReplicaSets and the pods.
	wide bool
	// last is how many entries of the timeline are shown.
	last int
}

func (t tree) String() string {
	var b strings.Builder
	t.head(&b)
	t.waits(&b)
	t.showUnreleased(&b)
	t.showVersions(&b)
	t.showSteps(&b)
	t.showAnalyses(&b)
	t.showTraffic(&b)
	t.showTimeline(&b)
	t.notes(&b)
	return b.String()
}

func (t tree) head(b *strings.Builder) {
	v := t.view
	if v.rollout != nil && (!v.named || v.underWay()) {
		t.headRollout(b)
	}
	if r := v.release; r != nil {
		tab := table{gap: 2}
		result := r.Status.Result
		if result == "" {
			result = r.Status.StepSummary
			if result != "" {
				result = "step " + result
			}
		}
		tab.row(cell{"release/" + r.Name, bold}, cell{string(r.Status.Phase), phaseColour(string(r.Status.Phase))},
			cell{result, plain}, cell{t.spent(r), dim})
		tab.write(b, t.paint)
	}
}

func (t tree) headRollout(b *strings.Builder) {
	r := t.view.rollout
	tab := table{gap: 2}
	phase := string(r.Status.Phase)
	if phase == "" {
		phase = "Unknown"
	}
	says := ""
	switch {
	case r.Status.Phase == "":
		says = "no controller has looked at it yet; is it running? kubectl -n sluice-system get pods"
	case r.Status.Phase == v1alpha1.RolloutHealthy:
		says = "nothing is under way"
	case r.Status.Rejected != nil && r.Status.Phase == v1alpha1.RolloutRejected:
		says = beside(r.Status.Rejected.Revision, r.Status.Stable) + " was rejected; the stable revision runs"
	}
	tab.row(cell{"rollout/" + r.Name, bold}, cell{phase, phaseColour(phase)}, cell{says, plain})
	tab.write(b, t.paint)
}

// spent says when a release began, how long it took and who caused it.
func (t tree) spent(r *v1alpha1.Release) string {
	if r.Status.StartedAt == nil {
		return ""
	}
	out := "started " + ago(t.now, r.Status.StartedAt)
	if r.Status.FinishedAt != nil {
		out += ", took " + span(r.Status.FinishedAt.Sub(r.Status.StartedAt.Time))
	}
	if r.Spec.Author != "" {
		out += ", change by " + r.Spec.Author
	}
	return out
}

// waits shows what has to happen next, since when, until when, by whom, and what to type.
func (t tree) waits(b *strings.Builder) {
	w := t.view.waiting()
	if w == nil {
		t.showConditions(b)
		t.hint(b)
		return
	}
	tab := table{indent: "  ", gap: 2}
	tab.row(cell{"waiting", yellow}, cell{w.Message, plain})
	var bounds []string
	if w.Since != nil {
		bounds = append(bounds, "since "+t.clock(w.Since.Time)+" ("+ago(t.now, w.Since)+")")
	}
	if w.Until != nil {
		bounds = append(bounds, "until "+t.clock(w.Until.Time)+" ("+ahead(t.now, w.Until.Time)+")")
	}
	if len(bounds) > 0 {
		tab.row(cell{}, cell{strings.Join(bounds, ", "), dim})
	}
	if w.Who != "" {
		tab.row(cell{}, cell{"by " + w.Who, dim})
	}
	tab.write(b, t.paint)
	t.showConditions(b)
	t.hint(b)
}

// waiting is what the release waits for, or else the Rollout.
func (v *view) waiting() *v1alpha1.WaitingFor {
	if v.underWay() && v.release.Status.WaitingFor != nil {
		return v.release.Status.WaitingFor
	}
	if v.rollout != nil && !(v.named && !v.underWay()) {
		return v.rollout.Status.WaitingFor
	}
	return nil
}

// showConditions shows a Stalled condition, which says what a person has to mend.
func (t tree) showConditions(b *strings.Builder) {
	for _, c := range t.view.conditions() {
		if w := t.view.waiting(); w != nil && w.Message == c.Message {
			continue
		}
		if c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue {
			fmt.Fprint(b, safef("  %s  %s\n", t.paint.in(red, "stalled"), c.Message))
		}
	}
}

// showUnreleased warns of pods that serve and that no release brought.
func (t tree) showUnreleased(b *strings.Builder) {
	if t.view.rollout == nil || t.view.named && !t.view.underWay() {
		return
	}
	for _, c := range t.view.rollout.Status.Conditions {
		if c.Type == v1alpha1.ConditionUnreleasedPods && c.Status == metav1.ConditionTrue {
			fmt.Fprintf(b, "  %s  %s\n", t.paint.in(red, "unreleased"), c.Message)
		}
	}
}

func (v *view) conditions() []metav1.Condition {
	if v.underWay() {
		return v.release.Status.Conditions
	}
	if v.rollout != nil && !v.named {
		return v.rollout.Status.Conditions
	}
	return nil
}

// hint says what can be typed now.
func (t tree) hint(b *strings.Builder) {
	var commands []string
	v := t.view
	switch {
	case v.underWay() && wayOn(v.waiting()) != "":
		name := v.release.Spec.Rollout
		commands = []string{t.program + " " + wayOn(v.waiting()) + " " + name, t.program + " abort " + name}
	case v.rollout != nil && !v.named && v.rollout.Status.Phase == v1alpha1.RolloutRejected:
		commands = []string{t.program + " retry " + v.rollout.Name + "   (or change the pod template)"}
	}
	for _, c := range commands {
		b.WriteString(safef("  %s\n", t.paint.in(cyan, "> "+c)))
	}
}

// wayOn is the command that ends a wait for a person.
func wayOn(w *v1alpha1.WaitingFor) string {
	if w == nil {
		return ""
	}
	switch w.Reason {
	case release.ReasonWindowShut:
		return `override -m "WHY"`
	case release.ReasonScaledToZero:
		return "promote --full"
	}
	return string(personal[w.Reason])
}

func (t tree) showVersions(b *strings.Builder) {
	if len(t.view.versions) == 0 {
		return
	}
	t.title(b, "Versions")
	tab := table{indent: "  ", gap: 2}
	for _, ver := range t.view.versions {
		share := ""
		if ver.share != nil {
			share = fmt.Sprintf("%d%% of requests", *ver.share)
		}
		pods, colour := "", green
		if t.view.workload != nil {
			pods = fmt.Sprintf("%d/%d pods ready", ver.ready, ver.desired)
			if ver.ready < ver.desired {
				colour = yellow
			}
		}
		name := ""
		if t.wide {
			name = ver.replicaSet
		}
		tab.row(cell{ver.role, bold}, cell{images(ver.revision), plain}, cell{pods, colour}, cell{share, plain}, cell{name, dim})
		t.showPods(&tab, ver.pods)
	}
	tab.write(b, t.paint)
}

func (t tree) showPods(tab *table, pods []pod) {
	for i, p := range pods {
		branch, colour, state := "├─ ", green, p.state
		if i == len(pods)-1 {
			branch = "└─ "
		}
		if !p.ready {
			colour = yellow
			if p.state == "Running" {
				state = "Running, not ready"
			}
		}
		more := span(t.now.Sub(p.age.Time))
		if p.restarts > 0 {
			more += fmt.Sprintf(", %d restarts", p.restarts)
		}
		tab.row(cell{}, cell{branch + p.name, plain}, cell{state, colour}, cell{more, dim})
	}
}

func (t tree) showTraffic(b *strings.Builder) {
	if len(t.view.layers) == 0 {
		return
	}
	t.title(b, "Traffic")
	tab := table{indent: "  ", gap: 2}
	for _, l := range t.view.layers {
		colour := dim
		if l.on {
			colour = plain
		}
		tab.row(cell{l.name, plain}, cell{l.state, colour})
	}
	for _, f := range t.view.fronts {
		tab.row(cell{f.name, plain}, cell{f.fate, dim})
	}
	if len(t.view.held) > 0 {
		tab.row(cell{"held", plain}, cell{strings.Join(t.view.held, ", ") + " (changed by this release; given back at its end)", dim})
	}
	tab.write(b, t.paint)
}

func (t tree) showTimeline(b *strings.Builder) {
	if t.view.release == nil || len(t.view.release.Status.Timeline) == 0 || t.last == 0 {
		return
	}
	entries := t.view.release.Status.Timeline
	t.title(b, "Timeline")
	if len(entries) > t.last {
		entries = entries[len(entries)-t.last:]
	}
	writeTimeline(b, t.paint, entries, t.clock)
}

func writeTimeline(b *strings.Builder, p painter, entries []v1alpha1.TimelineEntry, clock func(time.Time) string) {
	tab := table{indent: "  ", gap: 2}
	for _, e := range entries {
		who := ""
		if e.User != "" && !strings.Contains(e.Message, e.User) {
			who = "by " + e.User
		}
		tab.row(cell{clock(e.At.Time), dim}, cell{e.Reason, plain}, cell{e.Message, plain}, cell{who, dim})
	}
	tab.write(b, p)
}

func (t tree) notes(b *strings.Builder) {
	if len(t.view.unread) == 0 {
		return
	}
	t.title(b, "Not shown")
	for _, u := range t.view.unread {
		b.WriteString(safef("  %s\n", u))
	}
}

func (t tree) title(b *strings.Builder, s string) {
	b.WriteString(safef("\n%s\n", t.paint.in(bold, s)))
}

// clock writes a time of the last 12 or next 12 hours without its date.
func (t tree) clock(at time.Time) string {
	at = at.In(t.now.Location())
	if d := at.Sub(t.now).Abs(); d > 12*time.Hour {
		return at.Format("2006-01-02 15:04")
	}
	return at.Format("15:04:05")
}

// ago says how long ago something was.
func ago(now time.Time, at *metav1.Time) string {
	if now.Sub(at.Time) < time.Second {
		return "just now"
	}
	return span(now.Sub(at.Time)) + " ago"
}

func phaseColour(phase string) colour {
	switch phase {
	case "Healthy", "Succeeded":
		return green
	case "Paused", "Pending", "Superseded":
		return yellow
	case "Aborting", "Aborted", "Rejected", "Stalled":
		return red
	case "Progressing", "Completing":
		return cyan
	}
	return plain
}
