package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// ansi codes of the colours that the demo application has.
var ansi = map[string]string{
	"blue": "\x1b[34m", "green": "\x1b[32m", "yellow": "\x1b[33m", "orange": "\x1b[38;5;208m", "purple": "\x1b[35m",
	"red": "\x1b[31m",
}

const (
	plain = "\x1b[0m"
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
)

// screen is the terminal, taken over until close.
type screen struct {
	in    *os.File
	out   io.Writer
	state *term.State
	keys  chan byte
}

func openScreen(in *os.File, out io.Writer) (*screen, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("take over the terminal: %w", err)
	}
	s := &screen{in: in, out: out, state: state, keys: make(chan byte)}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l\x1b[?7l") // another screen, no cursor, long lines are cut
	go func() {
		one := make([]byte, 1)
		for {
			if n, err := in.Read(one); n != 1 || err != nil {
				return
			}
			s.keys <- one[0]
		}
	}()
	return s, nil
}

func (s *screen) close() {
	fmt.Fprint(s.out, "\x1b[?7h\x1b[?25h\x1b[?1049l")
	_ = term.Restore(int(s.in.Fd()), s.state)
}

// draw replaces what is on the screen, in one write so that it does not flicker.
func (s *screen) draw(lines []string) {
	var b bytes.Buffer
	b.WriteString("\x1b[H")
	for _, l := range lines {
		b.WriteString(l + plain + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	_, _ = s.out.Write(b.Bytes())
}

// frame is the picture of this moment.
func (d *demo) frame(log []string) []string {
	all := d.color.read(d.color.all)
	failures := fmt.Sprintf("\x1b[32mno failed request of %d", all.total)
	if all.failed > 0 {
		failures = fmt.Sprintf("\x1b[31m%d failed requests of %d, the last: %s", all.failed, all.total, all.example)
	}
	lines := []string{
		bold + "A gray release on real traffic" + plain + dim + fmt.Sprintf("   %s  Host: %s", d.gateway, host),
		"", failures, "",
	}
	lines = append(lines, chart(d.color.last(history-2), 10)...)
	lines = append(lines, "")
	lines = append(lines, d.bars()...)
	lines = append(append(lines, ""), wrapped(d.standing(), 90)...)
	lines = append(lines, "",
		bold+"p"+plain+" promote   "+bold+"f"+plain+" promote past all steps   "+bold+"a"+plain+" abort   "+
			bold+"n"+plain+" new version ("+d.nextColour()+")   "+bold+"q"+plain+" quit",
		"", dim+"or in a second terminal:")
	for line := range strings.Lines(d.hints()) {
		lines = append(lines, dim+strings.TrimRight(line, "\n"))
	}
	return append(append(lines, ""), log...)
}

// wrapped breaks a sentence into lines.
func wrapped(sentence string, width int) []string {
	lines := []string{bold}
	for _, word := range strings.Fields(sentence) {
		if last := len(lines) - 1; len(lines[last])+len(word) < width {
			lines[last] += word + " "
		} else {
			lines = append(lines, bold+word+" ")
		}
	}
	return lines
}

// bars show the share of each colour in the last whole second, and its ready pods.
func (d *demo) bars() []string {
	last, pods := d.color.last(1)[0], d.journal.readyByColour()
	names := maps.Clone(last.counts)
	maps.Copy(names, pods)
	total := 0
	for _, n := range last.counts {
		total += n
	}
	var out []string
	for _, c := range slices.Sorted(maps.Keys(names)) {
		width := 0
		if total > 0 {
			width = last.counts[c] * 40 / total
		}
		out = append(out, fmt.Sprintf("%s%-7s%s %s%s%s%s %4d/s   %d pods ready", ansi[c], c, plain,
			ansi[c], strings.Repeat("█", width), plain, strings.Repeat(" ", 40-width), last.counts[c], pods[c]))
	}
	return out
}

// chart draws a column for each second, shared out among the colours; a failed request shows as a red cross.
func chart(seconds []second, height int) []string {
	rows := make([]strings.Builder, height)
	for _, s := range seconds {
		column := share(s, height)
		for row := range rows {
			c := column[height-1-row]
			switch {
			case c == "":
				rows[row].WriteString(" ")
			case s.failed > 0 && row == 0:
				rows[row].WriteString("\x1b[31mx")
			default:
				rows[row].WriteString(ansi[c] + "█")
			}
		}
	}
	out := make([]string, height)
	for i := range rows {
		out[i] = rows[i].String()
	}
	return out
}

// share fills a column from below, the colours in the order of colours.
func share(s second, height int) []string {
	column := make([]string, height)
	total, sum := 0, 0
	for _, n := range s.counts {
		total += n
	}
	if total == 0 {
		return column
	}
	from := 0
	for _, c := range colours {
		sum += s.counts[c]
		to := (sum*height + total/2) / total
		for ; from < to; from++ {
			column[from] = c
		}
	}
	return column
}

// lastLines are the ends of the commands' output.
type lastLines struct {
	mu    sync.Mutex
	keep  int
	lines []string
}

func (l *lastLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, time.Now().Format("15:04:05 ")+line)
	l.lines = l.lines[max(0, len(l.lines)-l.keep):]
}

func (l *lastLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
