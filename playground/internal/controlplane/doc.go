// Package controlplane runs a real Kubernetes control plane on this machine: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler as child processes, without root and without containers,
// with its state in one directory.
//
// Start brings it up and returns when the API server, its controllers and the objects that every
// playground has (Gateway API, classes, the default Gateway) are there. Whoever starts it must let the
// same binary become a component: call component.Main first thing in main or TestMain.
//
// The commands in cmd/sluice-playground and the playground's own tests import this package. It knows
// nothing of the playground's nodes and gateway; `sluice-playground up` puts them together.
package controlplane
