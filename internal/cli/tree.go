package cli

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/internal/view"
)

// tree paints a picture so that a glance tells where the release stands, what it waits for and who can move it.
type tree struct {
	picture view.Picture
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
	t.showVersions(&b)
	t.showSteps(&b)
	t.showAnalyses(&b)
	t.showTraffic(&b)
	t.showTimeline(&b)
	t.notes(&b)
	return b.String()
}

func (t tree) head(b *strings.Builder) {
	if r := t.picture.Rollout; r != nil {
		tab := table{gap: 2}
		tab.row(cell{"rollout/" + r.Name, bold}, cell{r.Phase, phaseColour(r.Phase)}, cell{r.Says, plain})
		tab.write(b, t.paint)
	}
	if r := t.picture.Release; r != nil {
		tab := table{gap: 2}
		result := r.Result
		if result == "" && r.Step != "" {
			result = "step " + r.Step
		}
		phase := string(r.Phase)
		tab.row(cell{"release/" + r.Name, bold}, cell{phase, phaseColour(phase)}, cell{result, plain}, cell{t.spent(r), dim})
		tab.write(b, t.paint)
	}
}

// spent says when a release began, how long it took and who caused it.
func (t tree) spent(r *view.Release) string {
	if r.StartedAt == nil {
		return ""
	}
	out := "started " + ago(t.now, r.StartedAt)
	if r.FinishedAt != nil {
		out += ", took " + span(r.FinishedAt.Sub(r.StartedAt.Time))
	}
	if r.Author != "" {
		out += ", change by " + r.Author
	}
	return out
}

// waits shows what has to happen next, since when, until when, by whom, and what to type.
func (t tree) waits(b *strings.Builder) {
	if w := t.picture.Wait; w != nil {
		t.showWait(b, w)
	}
	t.warn(b, view.Stalled)
	for _, c := range t.picture.Commands {
		line := "> " + t.program + " " + c.Line
		if c.Note != "" {
			line += "   (" + c.Note + ")"
		}
		fmt.Fprint(b, safef("  %s\n", t.paint.in(cyan, line)))
	}
	t.warn(b, view.Unreleased)
}

func (t tree) showWait(b *strings.Builder, w *view.Wait) {
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
}

// warn shows the warnings of one kind.
func (t tree) warn(b *strings.Builder, kind view.WarningKind) {
	for _, w := range t.picture.Warnings {
		if w.Kind == kind {
			fmt.Fprint(b, safef("  %s  %s\n", t.paint.in(red, string(kind)), w.Message))
		}
	}
}

func (t tree) showVersions(b *strings.Builder) {
	if len(t.picture.Versions) == 0 {
		return
	}
	t.title(b, "Versions")
	tab := table{indent: "  ", gap: 2}
	for _, ver := range t.picture.Versions {
		share := ""
		if ver.Share != nil {
			share = fmt.Sprintf("%d%% of requests", *ver.Share)
		}
		pods, colour := "", green
		if ver.Counted {
			pods = fmt.Sprintf("%d/%d pods ready", ver.Ready, ver.Desired)
			if ver.Ready < ver.Desired {
				colour = yellow
			}
		}
		name := ""
		if t.wide {
			name = ver.ReplicaSet
		}
		tab.row(cell{string(ver.Role), bold}, cell{ver.Images, plain}, cell{pods, colour},
			cell{share, plain}, cell{name, dim})
		t.showPods(&tab, ver.Pods)
	}
	tab.write(b, t.paint)
}

func (t tree) showPods(tab *table, pods []view.Pod) {
	for i, p := range pods {
		branch, colour := "├─ ", green
		if i == len(pods)-1 {
			branch = "└─ "
		}
		if !p.Ready {
			colour = yellow
		}
		more := span(t.now.Sub(p.Created.Time))
		if p.Restarts > 0 {
			more += fmt.Sprintf(", %d restarts", p.Restarts)
		}
		tab.row(cell{}, cell{branch + p.Name, plain}, cell{p.State, colour}, cell{more, dim})
	}
}

func (t tree) showTraffic(b *strings.Builder) {
	if len(t.picture.Layers) == 0 {
		return
	}
	t.title(b, "Traffic")
	tab := table{indent: "  ", gap: 2}
	for _, l := range t.picture.Layers {
		colour := dim
		if l.Routed {
			colour = plain
		}
		tab.row(cell{l.Name, plain}, cell{l.Text, colour})
	}
	for _, f := range t.picture.Fronts {
		tab.row(cell{f.Name, plain}, cell{f.Fate, dim})
	}
	if held := t.picture.Held; len(held) > 0 {
		text := strings.Join(held, ", ") + " (changed by this release; given back at its end)"
		tab.row(cell{"held", plain}, cell{text, dim})
	}
	tab.write(b, t.paint)
}

func (t tree) showTimeline(b *strings.Builder) {
	entries := t.picture.Timeline
	if len(entries) == 0 || t.last == 0 {
		return
	}
	t.title(b, "Timeline")
	if len(entries) > t.last {
		entries = entries[len(entries)-t.last:]
	}
	tab := table{indent: "  ", gap: 2}
	for _, e := range entries {
		who := ""
		if e.User != "" {
			who = "by " + e.User
		}
		tab.row(cell{t.clock(e.At.Time), dim}, cell{e.Reason, plain}, cell{e.Message, plain}, cell{who, dim})
	}
	tab.write(b, t.paint)
}

func (t tree) notes(b *strings.Builder) {
	if len(t.picture.Unread) == 0 {
		return
	}
	t.title(b, "Not shown")
	for _, u := range t.picture.Unread {
		b.WriteString(safef("  %s\n", u))
	}
}

func (t tree) title(b *strings.Builder, s string) {
	b.WriteString(safef("\n%s\n", t.paint.in(bold, s)))
}

// clock writes a time of the last 12 or next 12 hours without its date. Within these 24 hours it can be no other
// day's. Times of the API are UTC; people compare them with the clock of their own machine.
func (t tree) clock(at time.Time) string {
	at = at.In(t.now.Location())
	if d := at.Sub(t.now).Abs(); d > 12*time.Hour {
		return at.Format("2006-01-02 15:04")
	}
	return at.Format("15:04:05")
}

// ago says how long ago something was. The clock of this machine may be behind the cluster's; what has just happened
// there would lie in the future, and is "just now", too.
func ago(now time.Time, at *metav1.Time) string {
	if now.Sub(at.Time) < time.Second {
		return "just now"
	}
	return span(now.Sub(at.Time)) + " ago"
}

// phaseColour is for the phases of Rollouts and of releases, which share most of their words; so it takes a text.
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
