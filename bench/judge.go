package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// judge runs the simulation that stands beside the code of the judge, and takes the figures from what it prints. Being
// seeded, it gives the same figures everywhere.
func judge(ctx context.Context, b *bench) error {
	const name = "BenchmarkJudge"
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "1x", "./internal/analysis").CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, out)
	}
	figures := []struct{ line, unit, name, as string }{
		{"equal", "highest-%", "judge-false-alarm", "%"},
		{"incident", "ours-%", "judge-false-alarm-incident", "%"},
		{"incident", "fixed-%", "judge-false-alarm-incident-fixed", "%"},
		{"known", "mean-times", "judge-speedup", "times"},
		{"known", "worst-times", "judge-speedup-worst", "times"},
		{"unknown", "mean-times", "judge-speedup-unknown", "times"},
		{"unknown", "worst-times", "judge-speedup-unknown-worst", "times"},
		{"tolerance", "mean-times", "judge-speedup-tolerance", "times"},
		{"unused", "mean-times", "judge-speedup-tolerance-unused", "times"},
	}
	var errs []error
	for _, f := range figures {
		found := regexp.MustCompile(`(?m)^` + name + `/` + f.line + `(?:-\d+)?\s.*?([0-9.]+) ` + regexp.QuoteMeta(f.unit) + `(?:\s|$)`).FindSubmatch(out)
		if found == nil {
			errs = append(errs, fmt.Errorf("%s/%s printed no %s:\n%s", name, f.line, f.unit, out))
			continue
		}
		value, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", f.name, err))
			continue
		}
		b.figure(f.name, value, f.as)
	}
	return errors.Join(errs...)
}
