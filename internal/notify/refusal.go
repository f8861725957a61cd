package notify

import (
	"errors"
	"fmt"
	"time"
)

// Refusal is an answer that is no delivery.
type Refusal struct {
	// Service that refused, to speak of it.
	Service string
	// Reason, without secrets.
	Reason string
	// Temporary refusals may be tried again.
	Temporary bool
	// RetryAfter is how long the service wants to be left alone; zero if it does not say.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s refused the message: %s", r.Service, r.Reason)
}

// Temporary says whether it makes sense to try again after an error, and how long the service wants to be left alone.
func Temporary(err error) (bool, time.Duration) {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Temporary, r.RetryAfter
	}
	return true, 0
}

// invalid is the refusal of a configuration, before anything is sent.
func invalid(service, format string, args ...any) error {
	return &Refusal{Service: service, Reason: fmt.Sprintf(format, args...)}
}
