package node

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// logLimit bounds what is kept of one container's output; older lines go first.
const logLimit = 128 << 10

// logBuffer keeps a container's last lines, each with its time, for kubectl logs.
type logBuffer struct {
	mu      sync.Mutex
	lines   []logLine
	first   int // number of lines[0], counted from the container's start
	size    int
	partial []byte
	closed  bool
	more    chan struct{} // closed at the next write; only made when somebody follows
}

type logLine struct {
	at   time.Time
	text []byte // with its newline
}

// Write takes output; a line is kept when its newline has come.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.partial = append(b.partial, p...)
	for {
		end := bytes.IndexByte(b.partial, '\n')
		if end < 0 {
			break
		}
		b.add(bytes.Clone(b.partial[:end+1]))
		b.partial = b.partial[end+1:]
	}
	if len(b.partial) == 0 {
		b.partial = nil
	}
	return len(p), nil
}

func (b *logBuffer) add(text []byte) {
	b.lines = append(b.lines, logLine{time.Now(), text})
	b.size += len(text)
	for b.size > logLimit && len(b.lines) > 1 {
		b.size -= len(b.lines[0].text)
		b.lines = b.lines[1:]
		b.first++
	}
	b.wake()
}

func (b *logBuffer) wake() {
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

// Close ends the log: followers read to its end and stop.
func (b *logBuffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.partial) > 0 {
		b.add(append(bytes.Clone(b.partial), '\n'))
		b.partial = nil
	}
	b.closed = true
	b.wake()
	return nil
}

// after returns the lines from number n on, the number of the next, and, when there
// are none, what to wait for: nil says that the log has ended.
func (b *logBuffer) after(n int) (lines []logLine, next int, more <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := max(n-b.first, 0)
	lines = append(lines, b.lines[min(from, len(b.lines)):]...)
	next = b.first + len(b.lines)
	if len(lines) > 0 || b.closed {
		return lines, next, nil
	}
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return nil, next, b.more
}

// end returns what a termination message may hold of the log.
func (b *logBuffer) end() string {
	const mostLines, mostBytes = 80, 2048
	b.mu.Lock()
	defer b.mu.Unlock()
	var text []byte
	for _, l := range b.lines[max(len(b.lines)-mostLines, 0):] {
		text = append(text, l.text...)
	}
	return string(text[max(len(text)-mostBytes, 0):])
}

// logQuery is what kubectl logs may ask for.
type logQuery struct {
	tail       int // negative: all
	limit      int // bytes; 0: no limit
	since      time.Time
	timestamps bool
	follow     bool
}

// copyTo writes the lines asked for, and with follow those to come until the log or
// the context ends.
func (b *logBuffer) copyTo(ctx context.Context, w io.Writer, q logQuery) error {
	lines, next, _ := b.after(0)
	if q.tail >= 0 && len(lines) > q.tail {
		lines = lines[len(lines)-q.tail:]
	}
	left := q.limit
	for {
		done, err := writeLines(w, lines, q, &left)
		if done || err != nil || !q.follow {
			return err
		}
		var more <-chan struct{}
		lines, next, more = b.after(next)
		if len(lines) > 0 {
			continue
		}
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

func writeLines(w io.Writer, lines []logLine, q logQuery, left *int) (done bool, err error) {
	for _, l := range lines {
		if l.at.Before(q.since) {
			continue
		}
		text := l.text
		if q.timestamps {
			text = append([]byte(l.at.UTC().Format(time.RFC3339Nano)+" "), text...)
		}
		if q.limit > 0 && len(text) >= *left {
			_, err := w.Write(text[:*left])
			return true, err
		}
		*left -= len(text)
		if _, err := w.Write(text); err != nil {
			return true, err
		}
	}
	return false, nil
}
