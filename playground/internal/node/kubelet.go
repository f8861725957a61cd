package node

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// handler is the kubelet's HTTPS endpoint, as far as the playground has one. The
// library's own handler does not build with this Kubernetes (it needs a package that
// k8s.io/apiserver has dropped), and would be more than is used.
func (v *provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", v.serveLogs)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("/exec/", unsupported("run a command in a pod", "a pod here is a program built into the playground, "+
		"without commands"))
	mux.HandleFunc("/attach/", unsupported("attach to a pod", "its program reads no input; use kubectl logs -f"))
	mux.HandleFunc("/portForward/", unsupported("forward a port", "call the pod at the loopback address like its own "+
		"(198.18.x.y is 127.18.x.y on Linux), or go through the gateway"))
	return mux
}

func unsupported(what, why string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, fmt.Sprintf("the playground's nodes cannot %s: %s", what, why), http.StatusNotImplemented)
	}
}

// serveLogs answers kubectl logs.
func (v *provider) serveLogs(w http.ResponseWriter, r *http.Request) {
	q, previous, err := parseLogQuery(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	buffer, err := v.logBuffer(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"), previous)
	if err != nil {
		code := http.StatusNotFound
		if _, waits := errors.AsType[*noLogError](err); waits {
			code = http.StatusBadRequest
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	_ = buffer.copyTo(r.Context(), flushing{w, http.NewResponseController(w)}, q)
}

// flushing sends every line on at once: somebody may be following.
type flushing struct {
	io.Writer
	control *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.control.Flush()
}

// parseLogQuery reads what the API server passes on of a request for logs.
func parseLogQuery(values url.Values, now time.Time) (q logQuery, previous bool, err error) {
	number := func(name string) (n int, set bool) {
		text := values.Get(name)
		if text == "" {
			return 0, false
		}
		n, bad := strconv.Atoi(text)
		if bad != nil || n < 0 {
			err = errors.Join(err, fmt.Errorf("%s %q: want a number", name, text))
		}
		return n, true
	}
	yes := func(name string) bool { return values.Get(name) == "true" }
	q = logQuery{tail: -1, timestamps: yes("timestamps"), follow: yes("follow")}
	if n, set := number("tailLines"); set {
		q.tail = n
	}
	q.limit, _ = number("limitBytes")
	if n, set := number("sinceSeconds"); set {
		q.since = now.Add(-time.Duration(n) * time.Second)
	}
	if text := values.Get("sinceTime"); text != "" {
		at, bad := time.Parse(time.RFC3339, text)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("sinceTime %q: want a time as in RFC 3339", text))
		}
		q.since = at
	}
	return q, yes("previous"), err
}

// logBuffer finds a container's output, or that of its run before.
func (v *provider) logBuffer(namespace, name, container string, previous bool) (*logBuffer, error) {
	p := v.find(namespace, name)
	if p == nil {
		return nil, fmt.Errorf("pod %s/%s is not on this node", namespace, name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.container(container)
	if c == nil {
		return nil, fmt.Errorf("pod %s/%s has no container %q", namespace, name, container)
	}
	if previous {
		return c.previousLog(name)
	}
	if c.logs == nil {
		return nil, &noLogError{fmt.Sprintf("container %q in pod %q is waiting to start: %s", container, name, c.waitsFor())}
	}
	return c.logs, nil
}

// noLogError says that there is such a container, but not the log asked for.
type noLogError struct{ text string }

func (e *noLogError) Error() string { return e.text }

// previousLog is that of the run before the current one; a container that waits to be
// restarted has no current one.
func (c *container) previousLog(pod string) (*logBuffer, error) {
	previous := c.oldLogs
	if c.phase == held && c.term != nil {
		previous = c.logs
	}
	if previous == nil {
		return nil, &noLogError{fmt.Sprintf("previous terminated container %q in pod %q not found", c.spec.Name, pod)}
	}
	return previous, nil
}

func (c *container) waitsFor() string {
	switch {
	case c.reason == "ErrImagePull" || c.reason == "ImagePullBackOff":
		return "trying and failing to pull image"
	case c.reason != "":
		return c.reason
	}
	return "ContainerCreating"
}
