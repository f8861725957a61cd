package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a process of ours. Its output goes to a file.
type child struct {
	name, log string
	cmd       *exec.Cmd
	started   chan error
	exited    chan struct{}
}

// startChild starts a process that ends with ours. When it ends by itself, failed is told why.
func startChild(name, log string, failed context.CancelCauseFunc, args ...string) (*child, error) {
	c := &child{
		name: name, log: log, cmd: exec.Command(args[0], args[1:]...), started: make(chan error, 1),
		exited: make(chan struct{}),
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	c.cmd.Stdout, c.cmd.Stderr = file, file
	c.cmd.SysProcAttr = apart()
	go func() {
		// The kernel ends the child with the thread that started it, hence with us even if we are killed.
		runtime.LockOSThread()
		defer file.Close()
		defer close(c.exited)
		if err := c.cmd.Start(); err != nil {
			c.started <- err
			return
		}
		c.started <- nil
		err := c.cmd.Wait()
		failed(fmt.Errorf("%s ended by itself (%w); the end of its log:\n%s", name, orDone(err), c.tail(15)))
	}()
	if err := <-c.started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

func orDone(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

// stop ends the process in order, and by force if that takes too long.
func (c *child) stop(limit time.Duration) error {
	if c == nil {
		return nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGINT) // an error means that it has ended
	select {
	case <-c.exited:
		return nil
	case <-time.After(limit):
		_ = c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("%s did not end in %s and was killed", c.name, limit)
	}
}

// said is all that the process has written so far.
func (c *child) said() string {
	raw, _ := os.ReadFile(c.log)
	return string(raw)
}

func (c *child) tail(lines int) string {
	all := strings.Split(strings.TrimSpace(c.said()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
