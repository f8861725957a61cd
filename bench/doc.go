// Command bench measures Sluice on a real API server and prints one line a figure: name, value, unit.
// docs/performance.md says what each means, how it is measured and what is aimed at.
//
//	go run ./bench                     all figures but the largest
//	go run ./bench -only writes,delay  some groups; -list names them
//
//	go run ./bench -only crowd-100 -rounds 3 -argo PROGRAM -argo-manifests FOLDER
//	                                   a crowd through Sluice, plain Deployments and Argo Rollouts in turns
//
// It knows bin/sluice and bin/sluice-playground as a user does, and nobody imports it. Every group that needs a cluster
// starts one for itself and ends it; nothing is sent anywhere but to this machine.
package main
