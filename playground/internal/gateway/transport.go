package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

const (
	dialTimeout   = 3 * time.Second
	headerTimeout = 60 * time.Second // nginx' proxy_read_timeout
	idleTimeout   = 30 * time.Second
	maxTries      = 6
	maxReplay     = 64 << 10 // bodies up to this size can be sent twice
)

var (
	errBackendTimeout = errors.New("the backend did not answer in time")
	errClientBody     = errors.New("read the client's body")
)

// transport sends a request to a pod of the chosen backend, and to another one
// when the first has just gone and the request can be repeated without harm.
type transport struct {
	// kept reuses connections. fresh never does: a request that must not be
	// repeated shall not meet a connection that its pod is about to close.
	kept, fresh http.RoundTripper
	table       func() *route.Table
	intn        route.IntN
	metrics     *metrics
}

func newTransport(dial dialFunc, table func() *route.Table, intn route.IntN, m *metrics) *transport {
	base := &http.Transport{
		DialContext:           markDialErrors(dial),
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
	fresh := base.Clone()
	fresh.DisableKeepAlives = true
	return &transport{kept: base, fresh: fresh, table: table, intn: intn, metrics: m}
}

// dialError marks that no byte of the request has left us.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

func markDialErrors(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, dialError{err}
		}
		return conn, nil
	}
}

// RoundTrip tries pods until one answers, the tries are used up or the error
// forbids another try.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c := &exchangeOf(req.Context()).choice
	body, err := newReplay(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errClientBody, err)
	}
	base := t.kept
	if !body.repeatable {
		base = t.fresh
	}
	next := t.pods(c.Backend)
	var last error
	for range maxTries {
		addr := next(last)
		if addr == "" {
			break
		}
		if last != nil {
			t.metrics.retry(c.Backend, last)
		}
		resp, err := t.try(base, req, addr, body, &c.Timeouts)
		if err == nil {
			return resp, nil
		}
		last = err
		if req.Context().Err() != nil || !body.mayRepeat(err) {
			break
		}
		base = t.fresh // other kept connections may be as stale as the first
	}
	return nil, last
}

// pods gives the addresses to try: those of the choice from a random one on,
// then those that the table in force has in addition, then, if it answered the
// dial but lost the connection, the first once more.
func (t *transport) pods(b *route.Backend) func(last error) string {
	var tried []string
	list, at := b.Endpoints, t.intn(len(b.Endpoints))
	return func(last error) string {
		for range len(list) {
			addr := list[at%len(list)]
			at++
			if !slices.Contains(tried, addr) {
				tried = append(tried, addr)
				return addr
			}
		}
		if now := t.table().Backend(b.BackendKey); now != nil {
			for _, addr := range now.Endpoints {
				if !slices.Contains(tried, addr) {
					tried = append(tried, addr)
					return addr
				}
			}
		}
		if len(tried) == 1 && connectionLost(last) {
			tried = append(tried, "")
			return tried[0]
		}
		return ""
	}
}

func (t *transport) try(base http.RoundTripper, req *http.Request, addr string, body *replay,
	limits *route.Timeouts,
) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	header := limits.Header
	if header == 0 {
		header = headerTimeout
	}
	if limits.Backend > 0 && limits.Backend < header {
		header = limits.Backend
	}
	timer := time.AfterFunc(header, func() { cancel(errBackendTimeout) })
	out := req.WithContext(ctx)
	u := *req.URL
	u.Host = addr
	out.URL = &u
	out.Body = body.next()
	start := time.Now()
	resp, err := base.RoundTrip(out)
	stopped := timer.Stop()
	if err != nil {
		cancel(nil)
		if !stopped && errors.Is(context.Cause(ctx), errBackendTimeout) {
			return nil, fmt.Errorf("ask %s: %w", addr, errBackendTimeout)
		}
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, nil // the body is the connection; the request's own context ends it
	}
	resp.Request = req
	end := &endingBody{ReadCloser: resp.Body, end: func() { cancel(nil) }}
	if limits.Backend > 0 {
		rest := time.AfterFunc(limits.Backend-time.Since(start), func() { cancel(errBackendTimeout) })
		end.end = func() { rest.Stop(); cancel(nil) }
	}
	resp.Body = end
	return resp, nil
}

// endingBody releases a try's context when its response is done.
type endingBody struct {
	io.ReadCloser
	end func()
}

func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// replay holds a request's body for more than one try.
type replay struct {
	repeatable bool // may be sent again after it may have reached a pod
	none       bool
	buffered   []byte
	stream     *guarded
}

// newReplay reads small bodies of idempotent requests into memory.
func newReplay(req *http.Request) (*replay, error) {
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0 && len(req.TransferEncoding) == 0 {
		return &replay{repeatable: true, none: true}, nil
	}
	if idempotent(req.Method) && req.ContentLength > 0 && req.ContentLength <= maxReplay {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		return &replay{repeatable: true, buffered: b}, nil
	}
	return &replay{stream: &guarded{ReadCloser: req.Body}}, nil
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

func (r *replay) next() io.ReadCloser {
	switch {
	case r.none:
		return nil
	case r.stream != nil:
		return r.stream
	}
	return io.NopCloser(bytes.NewReader(r.buffered))
}

// mayRepeat: a refused dial harms nobody as long as the body is whole; a lost
// connection allows another try only to requests that may be carried out twice.
func (r *replay) mayRepeat(err error) bool {
	var dial dialError
	if errors.As(err, &dial) {
		return r.stream == nil || !r.stream.touched.Load()
	}
	return r.repeatable && connectionLost(err)
}

// connectionLost: the pod closed or reset the connection before it answered.
func connectionLost(err error) bool {
	var dial dialError
	switch {
	case err == nil || errors.As(err, &dial):
		return false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return true
	}
	// net/http keeps this one to itself.
	return bytes.Contains([]byte(err.Error()), []byte("server closed idle connection"))
}

// guarded survives the Close of a try that never read it.
type guarded struct {
	io.ReadCloser
	touched atomic.Bool
}

func (g *guarded) Read(p []byte) (int, error) {
	g.touched.Store(true)
	return g.ReadCloser.Read(p)
}

// Close leaves the body to the server, which closes it when the handler returns.
func (g *guarded) Close() error { return nil }

// bufferPool lends ReverseProxy its copy buffers.
type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}}
}

func (p *bufferPool) Get() []byte  { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
