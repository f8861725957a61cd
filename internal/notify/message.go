package notify

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Event is what is told.
type Event string

// The events.
const (
	// Started: a release has begun.
	Started Event = "started"
	// Waiting: a release waits for people.
	Waiting Event = "waiting"
	// Failed: a step of a release failed.
	Failed Event = "failed"
	// Aborted: a release was taken back.
	Aborted Event = "aborted"
	// Done: a release has succeeded.
	Done Event = "done"
	// Frozen: a ReleaseWindow holds a release.
	Frozen Event = "frozen"
)

// Events are all of them.
var Events = []Event{Started, Waiting, Failed, Aborted, Done, Frozen}

// Message is what is told. Every text in it is plain: whatever looks like a sink's own marks is shown as it is.
type Message struct {
	Event Event
	// Namespace, Rollout, Release and Step are what it is about; Step may be empty.
	Namespace, Rollout, Release, Step string
	// Title is one line.
	Title string
	// Text says what happened, in a sentence or more.
	Text string
	// Who can end the wait, if it is one.
	Who string
	// Until is when the wait ends at the latest; zero if it does not, or is none.
	Until time.Time
	// At is when it happened.
	At time.Time
	// Fields are further facts, by name.
	Fields map[string]string
	// Link to look further; empty if there is none.
	Link string
}

// Sink takes messages to one place.
type Sink interface {
	// Send delivers the message, or says why not. An error that is a Refusal tells whether to try again, and when; any
	// other may pass. It holds no secret.
	Send(ctx context.Context, m Message) error
}

// Fact is one line of a message.
type Fact struct{ Name, Value string }

// The bounds of facts: a sink always has room for all of them.
const (
	maxFields    = 10
	maxFactName  = 64
	maxFactValue = 256
)

// Facts are the lines to show below a message's text, cleaned and bounded, in a steady order.
func (m Message) Facts() []Fact {
	var out []Fact
	add := func(name, value string) {
		if value != "" {
			out = append(out, Fact{Truncate(Line(name), maxFactName), Truncate(Line(value), maxFactValue)})
		}
	}
	add("Rollout", m.name())
	add("Release", m.Release)
	add("Step", m.Step)
	add("Who can end the wait", m.Who)
	add("Until", Moment(m.Until))
	for i, name := range slices.Sorted(maps.Keys(m.Fields)) {
		if i == maxFields {
			break
		}
		add(name, m.Fields[name])
	}
	return out
}

// Headline is the title on one line of at most so many bytes; never empty, since some sinks refuse that.
func (m Message) Headline(most int) string {
	title := Line(m.Title)
	if title == "" {
		title = Line(m.name() + ": " + string(m.Event))
	}
	return Truncate(title, most)
}

func (m Message) name() string {
	if m.Namespace == "" {
		return m.Rollout
	}
	return m.Namespace + "/" + m.Rollout
}

// Moment writes a time for people; empty if it is zero.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
