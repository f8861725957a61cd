package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// tailLines and tailBytes bound what an error quotes of a log.
	tailLines = 12
	tailBytes = 16 << 10
)

// ChildError says that a component ended though nobody asked it to.
type ChildError struct {
	Name  string
	State string // such as "exit status 1" or "signal: killed"
	Log   string // the file with its whole log
	Tail  string // the last lines of it
}

func (e *ChildError) Error() string {
	return fmt.Sprintf("%s ended unexpectedly (%s); its log is %s and ends with:\n%s", e.Name, e.State, e.Log, e.Tail)
}

// child is one component's process. It lives no longer than this process: it watches the pipe on its
// standard input, whose other end the system closes when this process ends in whatever way.
type child struct {
	name    string
	command *exec.Cmd
	alive   *os.File
	logFile string
	done    chan struct{}
	state   string // valid when done is closed
}

// childSpec says how to start a component.
type childSpec struct {
	name    string
	command []string
	env     []string
	logFile string
	lock    *os.File
}

func startChild(s childSpec) (*child, error) {
	log, err := openLog(s.logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe for %s: %w", s.name, err)
	}
	defer stdin.Close()
	command := exec.Command(s.command[0], s.command[1:]...) //nolint:gosec // our own binary
	command.Env = append(os.Environ(), s.env...)
	command.Stdin, command.Stdout, command.Stderr = stdin, log, log
	command.ExtraFiles = []*os.File{s.lock}
	command.SysProcAttr = ownGroup()
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", s.name, err), alive.Close())
	}
	c := &child{name: s.name, command: command, alive: alive, logFile: s.logFile, done: make(chan struct{})}
	go c.reap()
	return c, nil
}

// openLog begins a new log and keeps the one before it.
func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("keep the last log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

func (c *child) reap() {
	err := c.command.Wait()
	c.state = "exit status 0"
	if err != nil {
		c.state = err.Error()
	}
	_ = c.alive.Close()
	close(c.done)
}

// failure describes the end of a child that has ended.
func (c *child) failure() error {
	return &ChildError{Name: c.name, State: c.state, Log: c.logFile, Tail: tail(c.logFile)}
}

// stop asks the child to end and makes it end when grace is over; no grace means at once.
func (c *child) stop(grace time.Duration) {
	if grace > 0 && c.command.Process.Signal(syscall.SIGTERM) == nil {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-c.done:
			return
		case <-timer.C:
		}
	}
	_ = c.command.Process.Kill() // it may have ended by itself
	<-c.done
}

// tail returns the last lines of a file, indented.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "  (unreadable: " + err.Error() + ")"
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-tailBytes), io.SeekStart)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return "  (unreadable: " + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "  " + strings.Join(lines, "\n  ")
}
