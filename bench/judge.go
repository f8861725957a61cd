package main

import "context"

// judge runs the simulation that stands beside the code of the judge, and takes the figures from what it prints. Being
// seeded, it gives the same figures everywhere.
func judge(ctx context.Context, b *bench) error {
	return b.takeFrom(ctx, "BenchmarkJudge", "./internal/analysis", []printed{
		{"equal", "highest-%", "judge-false-alarm", "%"},
		{"incident", "ours-%", "judge-false-alarm-incident", "%"},
		{"incident", "fixed-%", "judge-false-alarm-incident-fixed", "%"},
		{"known", "mean-times", "judge-speedup", "times"},
		{"known", "worst-times", "judge-speedup-worst", "times"},
		{"unknown", "mean-times", "judge-speedup-unknown", "times"},
		{"unknown", "worst-times", "judge-speedup-unknown-worst", "times"},
		{"tolerance", "mean-times", "judge-speedup-tolerance", "times"},
		{"unused", "mean-times", "judge-speedup-tolerance-unused", "times"},
	}, "-benchtime", "1x")
}
