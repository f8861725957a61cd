// Package metrictest is the law of metric sources: what each must do whatever its protocol is. A source's test calls
// Run, and Measure for its own cases.
//
// Tests of internal/metric and its sources import it, and nothing else does.
package metrictest
