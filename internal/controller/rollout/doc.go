// Package rollout carries releases out. One reconcile follows one path: setup.go (what wakes it) -> observe.go (what
// the world shows) -> idle.go or drive.go (what is to be done: drive.go asks the core) -> carry.go (doing it, one
// write after the other) -> status.go and events.go (telling it).
//
// All state is in the API server: a Release's status holds what the world cannot show again, and is written before
// its effects are relied upon. The process may stop between any two writes.
//
// It may import api, kube, release, translate, and the adapters through registry. It never imports cli.
package rollout
