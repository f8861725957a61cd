package release

import "time"

// Outcome is what Decide returns: one barrier of actions, what to remember, why, and when to look again.
type Outcome struct {
	// Actions may be carried out in any order and repeated; only when all of them are seen to be done is the
	// next barrier decided. Memory must be stored before the actions when it differs from the one given.
	Actions []Action
	Memory  Memory
	// Reason says what the release waits for or has come to.
	Reason Reason
	// Events are what happened in this decision, for the record, in order.
	Events []Event
	// Answers to decisions, one for each that was looked at. They must be stored in one write with the
	// memory, and a decision that was answered there must not be shown again: so each is applied exactly once.
	Answers []Answer
	// Ask is what the gateway's metrics are to be asked; nil for nothing. It is asked until it is nil, or another.
	Ask *ShareQuestion
	// Wake is the next moment at which time alone changes the decision; zero if none does.
	Wake time.Time
}

// Event is one thing that happened.
type Event struct {
	Code, Message, User string
}

// Answer says what became of a decision.
type Answer struct {
	ID      string
	Applied bool
	Code    string
	Message string
}
