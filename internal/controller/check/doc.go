// Package check tells on each ReleaseWindow, AnalysisTemplate and ClusterAnalysisTemplate whether Sluice can read its
// spec:
// in the condition Valid, and in an event when it cannot. Otherwise a mistake that the API server cannot see would be
// found by the first release that meets it.
//
// It may import api, kube, measure and window. internal/controller wires it up.
package check
