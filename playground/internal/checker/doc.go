// Package checker is the program of the image sluice.dev/check: it sends requests,
// compares the answers with what was expected, and says by its exit code whether
// too many were wrong. Releases use it as a smoke test in a Job.
//
// It is a function of arguments, an HTTP client and a writer; package node runs it
// with a client that knows the cluster's names.
package checker
