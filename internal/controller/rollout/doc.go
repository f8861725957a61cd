// Package rollout carries releases out. One reconcile follows one path: setup.go (what wakes it) -> observe.go (what
// the world shows) -> drive.go with a release under way, or rest.go without one (both ask the core what is to be done)
// -> carry.go (doing it, one write after the other) -> status.go and events.go (telling it).
//
// All state is in the API server: a Release's status holds what the world cannot show again, and is written before
// its effects are relied upon. The process may stop between any two writes.
//
// It may import api, kube, release, translate, and the adapters through registry. It never imports cli.
package rollout
