// Package analysis carries AnalysisRuns out: it has what is due measured, writes down what came out, and says what it
// means. What counts as good is decided in internal/analysis, what is asked in internal/metric.
//
// It may import api, analysis, kube, metric and the registry.
package analysis
