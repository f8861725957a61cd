package kube

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"k8s.io/client-go/rest"
)

// FaultEnv is the environment variable that has the controller kill itself right after its Nth successful write,
// before it learns of the answer: the worst moment that there is. It is for the tests which prove that a release
// goes on from there; leave it unset otherwise.
const FaultEnv = "SLUICE_DIE_AFTER_WRITES"

// Faulty gives a connection the fault that the environment asks for, if any.
func Faulty(cfg *rest.Config, value string) error {
	if value == "" {
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 {
		return fmt.Errorf("%s: %q is no number of writes: use 1 or more, or leave it unset", FaultEnv, value)
	}
	left := &atomic.Int64{}
	left.Store(n)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return mortal{next: next, left: left, die: kill} })
	return nil
}

// mortal ends the process after so many writes.
type mortal struct {
	next http.RoundTripper
	left *atomic.Int64
	die  func()
}

func (m mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := m.next.RoundTrip(r)
	if err == nil && counts(r, res) && m.left.Add(-1) == 0 {
		m.die()
	}
	return res, err
}

// counts says whether a request was a write that a release relies on: leases and Kubernetes Events are not.
func counts(r *http.Request, res *http.Response) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return false
	}
	passing := strings.Contains(r.URL.Path, "/leases") || strings.Contains(r.URL.Path, "/events") ||
		strings.Contains(r.URL.Path, "/authorization.k8s.io/") // A question about rights, which stores nothing.
	return res.StatusCode < http.StatusMultipleChoices && !passing
}

// kill ends the process as the kernel does when memory is short: nothing is put in order.
func kill() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // Until the signal arrives.
}
