package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/procfs"
)

const (
	// look is how often the machine is looked at.
	look = time.Second
	// full is the share of the cores' time from which on nobody could have had much more.
	full = 0.95
)

// usage is the time that all cores of the machine have spent so far, in seconds, whoever used it.
type usage struct {
	busy, all float64
	cores     int
}

// readUsage reads it where there is a Linux /proc.
func readUsage(proc string) (usage, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return usage{}, fmt.Errorf("read processor time: %w", err)
	}
	s, err := fs.Stat()
	if err != nil {
		return usage{}, fmt.Errorf("read processor time: %w", err)
	}
	t := s.CPUTotal
	// User and Nice contain the time of guests. What the host of this machine took away nobody here could have.
	busy := t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal
	return usage{busy: busy, all: busy + t.Idle + t.Iowait, cores: len(s.CPU)}, nil
}

// load is what was seen of the cores, look by look. It is empty where nothing can be seen.
type load []usage

// watchCores looks at the cores until it is told to stop, and then says what it saw. It must be told.
func watchCores(ctx context.Context, proc string) (stop func() load) {
	ctx, cancel := context.WithCancel(ctx)
	seen := make(chan load)
	go func() {
		tick := time.NewTicker(look)
		defer tick.Stop()
		l := load(nil).with(readUsage(proc))
		for {
			select {
			case <-ctx.Done():
				seen <- l.with(readUsage(proc))
				return
			case <-tick.C:
				l = l.with(readUsage(proc))
			}
		}
	}()
	return func() load {
		cancel()
		return <-seen
	}
}

func (l load) with(u usage, err error) load {
	if err != nil {
		return l
	}
	return append(l, u)
}

// span is the time of all cores from the first look to the last, and how much of it was used.
func (l load) span() (busy, all float64) {
	if len(l) == 0 {
		return 0, 0
	}
	first, last := l[0], l[len(l)-1]
	return last.busy - first.busy, last.all - first.all
}

// busy is the share of the cores' time that was used, or no number if that is unknown.
func (l load) busy() float64 {
	busy, all := l.span()
	if all <= 0 {
		return math.NaN()
	}
	return busy / all
}

// full is the share of the time in which the cores were full from one look to the next, or no number.
func (l load) full() float64 {
	var sum float64
	for i := 1; i < len(l); i++ {
		if between := l[i-1 : i+1]; between.busy() >= full {
			_, all := between.span()
			sum += all
		}
	}
	_, all := l.span()
	if all <= 0 {
		return math.NaN()
	}
	return sum / all
}

// String says it for people.
func (l load) String() string {
	if math.IsNaN(l.busy()) {
		return "cores unknown"
	}
	n := l[0].cores
	return fmt.Sprintf("%.1f of %d cores busy, all of them %.0f%% of the time", l.busy()*float64(n), n, 100*l.full())
}

// used is the processor time of a process so far, in seconds, or no number where that is unknown.
func (p *process) used() float64 {
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		return math.NaN()
	}
	s, err := proc.Stat()
	if err != nil {
		return math.NaN()
	}
	return s.CPUTime()
}
