// Package component runs one part of the control plane in this process: etcd, kube-apiserver,
// kube-controller-manager or kube-scheduler, each the real thing from its own module.
//
// The playground is one binary that starts itself once per part, because these programs cannot share
// a process: each installs the only signal handler, sets process-wide feature gates and configures the
// process-wide log. Only the playground's main program and the test programs that start a control
// plane import this package; it brings all of Kubernetes with it.
package component
