// Package node is the playground's nodes: kubelets whose pods are servers in this
// process. It rests on the virtual-kubelet library, which registers the node, watches
// its pods and keeps its lease; this package does what a kubelet does with a pod.
//
// The way of a pod, from left to right:
//
//	provider.go   the library hands a pod over, changes it, takes it back
//	pod.go        init containers, containers, restarts, the end: one small machine under one lock
//	container.go  image -> environment -> process -> exit
//	probe.go      startup, liveness, readiness
//	terminate.go  preStop, SIGTERM, SIGKILL
//	status.go     what the API server is told, as a kubelet words it
//	client.go     and how: by patch of the fields that are a kubelet's, one for each change
//
// An idle pod costs a timer per probe and no goroutine. Programs are Go functions
// (program.go); images that are not built in fail with ErrImagePull. Resource requests,
// volumes' contents and security contexts are ignored.
//
// Only the playground's command imports it.
package node
