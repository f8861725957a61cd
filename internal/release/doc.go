// Package release is the core of Sluice: given what a release is to do, what the world shows, what must be
// remembered and what time it is, Decide says what has to be done next, and why.
//
// The package is pure. It takes values and returns values; it knows no cluster, no clock, no logger and no
// error. A bad world is a decision too, with a reason. Everything that can hurt a user is decided here, in
// code that a test calls a million times.
//
// The way of a release: decide.go (the order of things), way.go (the ways to release, one row each), commands.go
// (people's words), end.go (what ends a release), start.go (Services and pods), step.go (routes, and staying in
// force), gate.go (pauses), analyse.go, approve.go and window.go (what else a step waits for), complete.go (the
// workload takes over), abort.go (everything back), guard.go (what no decision may do). spec.go and observed.go are
// what goes in, outcome.go and action.go what comes out, memory.go what is kept in between. capacity.go is the only
// place of arithmetic, plan.go and validate.go look at a spec before anything moves. testdata/ holds transcripts
// that read as the manual.
//
// While no release is under way, Rest decides: rest.go has the questions in their order, rest_seen.go what goes in,
// rest_outcome.go and rest_action.go what comes out, rest_guard.go what no such decision may do. The transcripts are in
// testdata/rest/.
//
// It may import the standard library without os, net and time.Now, and nothing else of Sluice's.
package release
