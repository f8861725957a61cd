// Package analysis is what judges a new version by what is measured of it.
//
// The package is pure. It takes values and returns values; it knows no source of metrics, no cluster, no clock and no
// logger. What cannot be used, as a number that is none, gives no verdict and says why.
//
// There are two judges. run.go counts measurements, each of which a condition has called good or bad. The other one
// compares the new version (canary) with the stable one of the same time, instead of with a constant: judge.go (the
// verdicts and what they are wrong about, and how often), rate.go (shares of bad requests, and the exact statement of
// the error), rate_evidence.go (the mathematics), quantile.go and quantile_learn.go (latencies, as shares of requests
// that are slower than a time that stable itself gave). It may be asked at any time and as often as one likes: its
// error is one for the whole run.
//
// It may import the standard library without os, net, time.Now, context and log, and nothing else of Sluice's.
package analysis
