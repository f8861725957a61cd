package cli

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runAside runs a command line beside the test; lines gives what it prints, end stops it and gives the exit code.
func runAside(t *testing.T, args ...string) (lines <-chan string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	o := testOptions(append([]string{"sluice"}, args...))
	o.Out, o.Err = w, w
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, o)
		_ = w.Close()
	}()
	out := make(chan string, 100)
	go func() {
		s := bufio.NewScanner(r)
		for s.Scan() {
			out <- s.Text()
		}
		close(out)
	}()
	t.Cleanup(cancel)
	return out, func() int {
		cancel()
		return <-code
	}
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case l, open := <-lines:
		if !open {
			t.Fatal("the command has ended")
		}
		return l
	case <-time.After(10 * time.Second):
		t.Fatal("the command prints nothing")
	}
	return ""
}

func load(t *testing.T, a *fakeAPI, file string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "objects", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.load(data); err != nil {
		t.Fatal(err)
	}
}

func TestGetWatchPrintsALineForEachChange(t *testing.T) {
	a := startAPI(t, "workload.yaml", "idle.yaml")
	lines, end := runAside(t, "get", "shop", "-w")
	want := "22:15:00  shop  Healthy  runs argoproj/rollouts-demo:blue"
	if got := next(t, lines); got != want {
		t.Errorf("first line\n%s, want\n%s", got, want)
	}
	load(t, a, "paused.yaml")
	want = "22:15:00  shop  Paused  step 1/3 step-1  20%  stable 4/4  canary 1/1  step 1/3 waits until somebody promotes it"
	for got := next(t, lines); got != want; got = next(t, lines) {
		if strings.Contains(got, "canary 1/1") {
			t.Fatalf("line\n%s, want\n%s", got, want)
		}
	}
	if code := end(); code != ExitOK {
		t.Errorf("exit code %d after an interrupt, want 0", code)
	}
}

func TestStatusWaitEndsWithTheVerdict(t *testing.T) {
	for _, test := range []struct {
		first, then, line string
		code              int
	}{
		{"completing.yaml", "paused.yaml", "shop: Paused: step 1/3 waits until somebody promotes it", ExitPerson},
		{"aborting.yaml", "aborted.yaml", "shop: Rejected: argoproj/rollouts-demo:green was rejected: aborted by bob at step 2/3 half: checkout errors", ExitNo},
	} {
		t.Run(test.first+" then "+test.then, func(t *testing.T) {
			a := startAPI(t, "workload.yaml", test.first)
			lines, end := runAside(t, "status", "shop", "--wait", "--timeout", "1m")
			a.awaitWatch(t, "releases") // It has to be watching, or else it would not be waiting.
			load(t, a, test.then)
			if got := next(t, lines); got != test.line {
				t.Errorf("line\n%s, want\n%s", got, test.line)
			}
			if code := end(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
		})
	}
}

func TestStatusWaitTimesOut(t *testing.T) {
	startAPI(t, "workload.yaml", "completing.yaml")
	lines, end := runAside(t, "status", "shop", "--wait", "--timeout", "1s")
	if got, want := next(t, lines), "shop: Completing: 3 of 4 new pods are ready (still so after 1s)"; got != want {
		t.Errorf("line\n%s, want\n%s", got, want)
	}
	if code := end(); code != ExitProgress {
		t.Errorf("exit code %d, want %d", code, ExitProgress)
	}
}

func TestWatchSaysWhenItMayNot(t *testing.T) {
	a := startAPI(t, "workload.yaml", "idle.yaml")
	a.mu.Lock()
	a.forbidden = []string{"get replicasets"}
	a.mu.Unlock()
	lines, end := runAside(t, "get", "shop", "-w")
	if got := next(t, lines); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, "replicasets is forbidden") {
		t.Errorf("%q does not say what is forbidden", got)
	}
	if code := end(); code != ExitError {
		t.Errorf("exit code %d, want %d", code, ExitError)
	}
}

func TestScreenCutsToTheTerminal(t *testing.T) {
	got := screen("one\ntwo\nthree\n", 3)
	if want := "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J"; got != want {
		t.Errorf("screen %q, want %q", got, want)
	}
}

func TestColours(t *testing.T) {
	none := func(string) string { return "" }
	if colours(io.Discard, none) {
		t.Error("colours although the output is no terminal")
	}
	if got := (painter{on: true}).in(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("painted %q", got)
	}
	var b strings.Builder
	tab := table{gap: 2}
	tab.row(cell{"a", red}, cell{"", plain}, cell{"c", plain})
	tab.row(cell{"long", plain}, cell{"", plain}, cell{"d", plain})
	tab.write(&b, painter{on: true})
	if want := "\x1b[31ma\x1b[0m     c\nlong  d\n"; b.String() != want {
		t.Errorf("table %q, want %q", b.String(), want)
	}
}
