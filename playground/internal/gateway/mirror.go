package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

const (
	mirrorTimeout = 10 * time.Second
	maxMirrorBody = 1 << 20
	maxMirroring  = 256
)

// mirrors sends copies of requests and forgets the answers. It never holds the
// request itself up: with too many under way, copies are dropped and counted.
type mirrors struct {
	transport *transport
	metrics   *metrics
	slots     chan struct{}
}

func newMirrors(t *transport, m *metrics) *mirrors {
	return &mirrors{transport: t, metrics: m, slots: make(chan struct{}, maxMirroring)}
}

func (m *mirrors) send(r *http.Request, c *route.Choice, intn route.IntN) {
	for _, f := range []*route.Filters{c.RuleFilters, c.BackendFilters} {
		if f == nil {
			continue
		}
		for i := range f.Mirrors {
			if f.Mirrors[i].Takes(intn) {
				m.one(r, c, f.Mirrors[i].Backend)
			}
		}
	}
}

func (m *mirrors) one(r *http.Request, c *route.Choice, to *route.Backend) {
	if len(to.Endpoints) == 0 {
		m.metrics.mirror(to, "no_endpoints")
		return
	}
	body, ok := copyBody(r)
	if !ok {
		m.metrics.mirror(to, "body_too_large")
		return
	}
	select {
	case m.slots <- struct{}{}:
	default:
		m.metrics.mirror(to, "busy")
		return
	}
	copied := r.Clone(context.WithoutCancel(r.Context()))
	go func() {
		defer func() { <-m.slots }()
		m.deliver(copied, c, to, body)
	}()
}

// copyBody reads a body that both the request and its copy will send.
func copyBody(r *http.Request) ([]byte, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true
	}
	if r.ContentLength < 0 || r.ContentLength > maxMirrorBody {
		return nil, false
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, false
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return b, true
}

func (m *mirrors) deliver(r *http.Request, c *route.Choice, to *route.Backend, body []byte) {
	ctx, cancel := context.WithTimeout(r.Context(), mirrorTimeout)
	defer cancel()
	choice := route.Choice{Source: c.Source, Host: c.Host, Backend: to}
	out := r.WithContext(context.WithValue(ctx, exchangeKey{}, &exchange{choice: choice}))
	if f := c.RuleFilters; f != nil {
		f.Request.Apply(out.Header)
	}
	for _, name := range []string{"Connection", "Upgrade", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding"} {
		out.Header.Del(name)
	}
	out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", to.Service
	out.Body, out.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := m.transport.RoundTrip(out)
	if err != nil {
		m.metrics.mirror(to, "error")
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	m.metrics.mirror(to, "sent")
}
