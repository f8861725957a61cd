package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// procWith is a /proc whose stat has the given text.
func procWith(t *testing.T, stat string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUsageOfTheMachine(t *testing.T) {
	// user nice system idle iowait irq softirq steal guest guest_nice, in hundredths of a second. The guests' 50 are in
	// user, and waiting for a disk keeps no core busy.
	u, err := readUsage(procWith(t, `cpu  200 20 100 500 70 5 15 30 50 0
cpu0 100 10 50 250 35 3 7 15 25 0
cpu1 100 10 50 250 35 2 8 15 25 0
intr 1 2 3
ctxt 4
btime 1700000000
processes 9
procs_running 2
procs_blocked 0
softirq 1 0 0 0 0 0 0 0 0 0 0
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%.2f of %.2f on %d", u.busy, u.all, u.cores), "3.70 of 9.40 on 2"; got != want {
		t.Errorf("used %s, want %s", got, want)
	}
}

func TestUsageIsUnknown(t *testing.T) {
	for name, proc := range map[string]string{
		"without /proc": filepath.Join(t.TempDir(), "none"), "empty": t.TempDir(), "nonsense": procWith(t, "cpu x\n"),
	} {
		if u, err := readUsage(proc); err == nil {
			t.Errorf("%s: got %+v and no error", name, u)
		}
	}
}

func TestLoad(t *testing.T) {
	// Two cores: a second full, a second half full, a second full but for 2%.
	l := load{{0, 10, 2}, {2, 12, 2}, {3, 14, 2}, {4.96, 16, 2}}
	if got, want := fmt.Sprintf("%.3f %.3f", l.busy(), l.full()), "0.827 0.667"; got != want {
		t.Errorf("busy and full %s, want %s", got, want)
	}
	if got, want := l.String(), "1.7 of 2 cores busy, all of them 67% of the time"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoadIsUnknown(t *testing.T) {
	failed := load(nil).with(usage{}, errors.New("no /proc"))
	for name, l := range map[string]load{
		"no look": failed, "one": {{1, 2, 2}}, "no time between": {{1, 2, 2}, {1, 2, 2}},
	} {
		if !math.IsNaN(l.busy()) || !math.IsNaN(l.full()) || l.String() != "cores unknown" {
			t.Errorf("%s: busy %v, full %v, %s", name, l.busy(), l.full(), l)
		}
	}
}

func TestWatchCores(t *testing.T) {
	proc := procWith(t, "cpu  200 20 100 500 70 5 15 30 50 0\n")
	if l := watchCores(context.Background(), proc)(); len(l) != 2 {
		t.Errorf("looked %d times, want at the beginning and at the end", len(l))
	}
	if l := watchCores(context.Background(), t.TempDir())(); len(l) != 0 {
		t.Errorf("saw %v without a /proc", l)
	}
}
