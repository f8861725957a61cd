package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// mind runs the benchmark that stands beside the code, and takes the figures from what it prints.
func mind(ctx context.Context, b *bench) error {
	const name = "BenchmarkDecide"
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchmem", "./internal/release").CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, out)
	}
	figures := []struct{ line, unit, name, as string }{
		{"release", "decisions/s", "decisions-per-second", "decisions/s"},
		{"paused", "ns/op", "decide-ns", "ns"},
		{"paused", "allocs/op", "decide-allocs", "allocations"},
	}
	var errs []error
	for _, f := range figures {
		found := regexp.MustCompile(`(?m)^` + name + `/` + f.line + `\S*\s.*?([0-9.]+) ` + f.unit).FindSubmatch(out)
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
