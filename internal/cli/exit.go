package cli

import (
	"errors"
	"fmt"
)

// Exit codes. They mean the same for every command.
const (
	// ExitOK: done; for status: healthy, or the release succeeded.
	ExitOK = 0
	// ExitNo: a clear no: a decision was refused, lint found problems, a release was aborted or stalled.
	ExitNo = 1
	// ExitProgress: status: under way, it moves on by itself.
	ExitProgress = 2
	// ExitPerson: status: it waits for a person.
	ExitPerson = 3
	// ExitError: it could not be done or told: not found, no answer, no cluster, a wrong command line. It is not 1, so
	// that no pipeline takes a cluster that does not answer for a release that failed.
	ExitError = 4
)

// exitHelp is the part of the help that documents the codes.
const exitHelp = `Exit codes:
  0  done; for status: healthy, or the release succeeded
  1  a clear no: a decision was refused, lint found problems, a release was aborted or is stalled
  2  status: under way, it moves on by itself
  3  status: it waits for a person
  4  it could not be done or told: not found, no answer, no cluster, a wrong command line`

// exitError carries the exit code of an error. With quiet set its text has been printed already.
type exitError struct {
	code  int
	quiet bool
	err   error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// no is a clear no, as against something that could not be done.
func no(format string, a ...any) error {
	return &exitError{code: ExitNo, err: fmt.Errorf(format, a...)}
}

// quiet ends the command with a code; everything has been said on standard output.
func quiet(code int) error {
	if code == ExitOK {
		return nil
	}
	return &exitError{code: code, quiet: true, err: fmt.Errorf("exit code %d", code)}
}

// exitCode is the code with which the process ends for an error of a command. Errors that carry none, cobra's
// among them, say nothing about a release: ExitError.
func exitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return ExitError
}
