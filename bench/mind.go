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
	return b.takeFrom(ctx, "BenchmarkDecide", "./internal/release", []printed{
		{"release", "decisions/s", "decisions-per-second", "decisions/s"},
		{"paused", "ns/op", "decide-ns", "ns"},
		{"paused", "allocs/op", "decide-allocs", "allocations"},
	}, "-benchmem")
}

// printed is a figure that a benchmark prints: on the line of a sub-benchmark before a unit, and as what it is told.
type printed struct{ line, unit, name, as string }

// takeFrom runs one benchmark of a package and takes figures from what it prints.
func (b *bench) takeFrom(ctx context.Context, name, pkg string, figures []printed, flags ...string) error {
	args := append([]string{"test", "-run", "^$", "-bench", "^" + name + "$"}, append(flags, pkg)...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, out)
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
