package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// group is a set of figures that are measured together.
type group struct {
	name string
	does string
	// large ones are left out unless they are asked for.
	large bool
	run   func(ctx context.Context, b *bench) error
}

var groups = []group{
	{name: "mind", does: "decisions per second, allocations", run: mind},
	{name: "judge", does: "false alarms of comparisons, and how soon they find a bad version", run: judge},
	{name: "writes", does: "API calls of one release", run: calls},
	{name: "delay", does: "from ready, promote and abort to the route, idle and loaded", run: delays},
	{name: "crowd-100", does: "100 releases at once, beside 100 plain Deployments", run: crowdOf(100)},
	{name: "crowd-500", does: "500 releases at once, beside 500 plain Deployments", large: true, run: crowdOf(500)},
	{name: "idle-1000", does: "memory and calls of 1,000 idle Rollouts, and of a start", run: idleOf(1000)},
	{name: "idle-5000", does: "the same with 5,000", large: true, run: idleOf(5000)},
}

// bench is what all groups share.
type bench struct {
	sluice, playground string
	out, log           io.Writer
	// keep leaves the directories behind, with audit and controller logs.
	keep bool
	// rounds is how often each side of a crowd has its turn.
	rounds int
	// argo is the program of Argo Rollouts' controller, if it is to be measured too, and argoManifests what it needs.
	argo, argoManifests string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context) error {
	b := &bench{out: os.Stdout, log: io.Discard}
	flag.StringVar(&b.sluice, "sluice", "bin/sluice", "the `program` to measure")
	flag.StringVar(&b.playground, "playground", "bin/sluice-playground", "the `program` that runs a cluster")
	flag.BoolVar(&b.keep, "keep", false, "leave the audit logs and the controllers' logs behind, and say where")
	only := flag.String("only", "", "`groups` to measure, with commas between them; a part of a name is enough")
	all := flag.Bool("all", false, "measure the large groups too")
	list := flag.Bool("list", false, "list the groups")
	quiet := flag.Bool("q", false, "do not tell on standard error what is being done")
	flag.IntVar(&b.rounds, "rounds", 1, "how many `turns` each side of a crowd has; its figures are their medians")
	flag.StringVar(&b.argo, "argo", "", "the `program` of Argo Rollouts' controller, which then has turns in a crowd too")
	flag.StringVar(&b.argoManifests, "argo-manifests", "",
		"the `path` of a file or folder of YAML that has the CustomResourceDefinitions of Argo Rollouts")
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // The libraries' own words.
	if !*quiet {
		b.log = os.Stderr
	}
	if *list {
		for _, g := range groups {
			fmt.Fprintf(b.out, "%-10s %s%s\n", g.name, g.does, map[bool]string{true: " (only when asked for)"}[g.large])
		}
		return nil
	}
	if err := b.check(); err != nil {
		return err
	}
	chosen := choose(*only, *all)
	if len(chosen) == 0 {
		return fmt.Errorf("-only %q names no group: see -list", *only)
	}
	var errs []error
	for _, g := range chosen {
		b.say("%s: %s", g.name, g.does)
		if err := g.run(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("measure %s: %w", g.name, err))
		}
	}
	return errors.Join(errs...)
}

// check finds flags that cannot be meant, before anything is started.
func (b *bench) check() error {
	if most := len(images) - 1; b.rounds < 1 || b.rounds > most {
		return fmt.Errorf("-rounds %d: give 1 to %d", b.rounds, most)
	}
	if (b.argo == "") != (b.argoManifests == "") {
		return errors.New("-argo and -argo-manifests go together: give both or none")
	}
	return nil
}

func choose(only string, all bool) []group {
	return slices.DeleteFunc(slices.Clone(groups), func(g group) bool {
		if only == "" {
			return g.large && !all
		}
		return !slices.ContainsFunc(strings.Split(only, ","),
			func(part string) bool { return strings.Contains(g.name, part) })
	})
}

// figure prints one line. What is no number is unknown.
func (b *bench) figure(name string, value float64, unit string) {
	if math.IsNaN(value) {
		fmt.Fprintln(b.out, name, "unknown")
		return
	}
	digits := 0
	switch {
	case value != float64(int64(value)) && math.Abs(value) < 10:
		digits = 2
	case value != float64(int64(value)) && math.Abs(value) < 100:
		digits = 1
	}
	fmt.Fprintln(b.out, name, strconv.FormatFloat(value, 'f', digits, 64), unit)
}

// say tells what is going on, apart from the figures.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// median of some durations, in milliseconds.
func median(list []time.Duration) float64 { return medianOf(list, milliseconds) }

// medianOf is the median of a value of each of a list.
func medianOf[T any](list []T, value func(T) float64) float64 {
	if len(list) == 0 {
		return 0
	}
	var sorted []float64
	for _, x := range list {
		sorted = append(sorted, value(x))
	}
	slices.Sort(sorted)
	mid := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[mid-1] + sorted[mid]) / 2
	}
	return sorted[mid]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
