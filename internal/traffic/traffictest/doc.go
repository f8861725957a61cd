// Package traffictest is the law of the traffic layers: what every provider must do, whatever its layer. It
// plays the controller on a cluster of a layer's objects, reads as a transcript (testdata of the layers), makes up
// sequences of splits, edits and crashes, and feeds a provider objects that make no sense.
//
// Only tests import it.
package traffictest
