package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

// statusClientGone is nginx' code for a client that did not wait.
const statusClientGone = 499

// servedBy names the backend Service in responses that do not say it themselves.
const servedBy = "X-Backend-Service"

// proxy serves requests by the table in force.
type proxy struct {
	table     atomic.Pointer[route.Table]
	transport *transport
	reverse   *httputil.ReverseProxy
	mirrors   *mirrors
	metrics   *metrics
	intn      route.IntN
	log       *slog.Logger
	logLimit  *rate.Limiter // a dead pod under load must not fill the log
}

func newProxy(dial dialFunc, intn route.IntN, m *metrics, log *slog.Logger) *proxy {
	p := &proxy{metrics: m, intn: intn, log: log, logLimit: rate.NewLimiter(1, 10)}
	p.table.Store(&route.Table{})
	p.transport = newTransport(dial, p.table.Load, intn, m)
	p.mirrors = newMirrors(p.transport, m)
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      p.transport,
		ModifyResponse: modifyResponse,
		ErrorHandler:   p.fail,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BufferPool:     newBufferPool(),
	}
	return p
}

// exchange is one request's choice, carried through the proxy in its context.
type exchange struct {
	choice route.Choice
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	e := &exchange{choice: p.table.Load().Match(r, p.intn)}
	rec := &recorder{ResponseWriter: w}
	// Deferred: ReverseProxy panics to abort a response that broke in its middle.
	defer func() { p.metrics.request(&e.choice, rec.code(), time.Since(start)) }()
	if e.choice.Status != 0 {
		answer(rec, r, &e.choice)
		return
	}
	ctx := context.WithValue(r.Context(), exchangeKey{}, e)
	if limit := e.choice.Timeouts.Request; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	r = r.WithContext(ctx)
	p.mirrors.send(r, &e.choice, p.intn)
	p.reverse.ServeHTTP(rec, r)
}

// answer gives the table's own response: a redirect, or why there is no backend.
func answer(w http.ResponseWriter, r *http.Request, c *route.Choice) {
	for _, f := range []*route.Filters{c.RuleFilters, c.BackendFilters} {
		if f == nil {
			continue
		}
		f.Response.Apply(w.Header())
		if f.Redirect != nil {
			w.Header().Set("Location", location(r, f.Redirect, c.Prefix))
			w.WriteHeader(f.Redirect.Status)
			return
		}
	}
	http.Error(w, http.StatusText(c.Status)+": "+c.Why, c.Status)
}

// location builds a redirect's target; what it does not name stays as asked.
func location(r *http.Request, d *route.Redirect, prefix string) string {
	u := *r.URL
	u.Scheme, u.Host = "http", d.Host
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, ""
	}
	if d.Host == "" {
		u.Host = host
	}
	if d.Scheme != "" {
		u.Scheme, port = d.Scheme, ""
	}
	if d.Port != 0 && !wellKnown(u.Scheme, d.Port) {
		port = itoa(d.Port)
	} else if d.Port != 0 {
		port = ""
	}
	if port != "" {
		u.Host = net.JoinHostPort(u.Host, port)
	}
	if d.Path != nil {
		u.Path, u.RawPath = d.Path.Apply(u.Path, prefix), ""
	}
	return u.String()
}

func wellKnown(scheme string, port int) bool {
	return scheme == "http" && port == 80 || scheme == "https" && port == 443
}

// rewrite prepares the request to the pod. The address comes from transport.
func rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL.Scheme = "http"
	out.URL.RawQuery = pr.In.URL.RawQuery // as it was, also when Go cannot parse it
	out.Host = pr.In.Host
	pr.SetXForwarded()
	c := &exchangeOf(pr.In.Context()).choice
	out.URL.Host = c.Backend.Service
	for _, f := range []*route.Filters{c.RuleFilters, c.BackendFilters} {
		if f == nil {
			continue
		}
		f.Request.Apply(out.Header)
		if w := f.Rewrite; w != nil {
			if w.Host != "" {
				out.Host = w.Host
			}
			if w.Path != nil {
				out.URL.Path, out.URL.RawPath = w.Path.Apply(out.URL.Path, c.Prefix), ""
			}
		}
	}
}

func modifyResponse(resp *http.Response) error {
	c := &exchangeOf(resp.Request.Context()).choice
	for _, f := range []*route.Filters{c.RuleFilters, c.BackendFilters} {
		if f != nil {
			f.Response.Apply(resp.Header)
		}
	}
	if c.Session != "" {
		resp.Header.Add("Set-Cookie", c.Session+"; Path=/; HttpOnly")
	}
	if _, ok := resp.Header[servedBy]; !ok {
		resp.Header[servedBy] = []string{c.Backend.Namespace + "/" + c.Backend.Service}
	}
	return nil
}

// fail answers for a request that no pod answered.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusBadGateway
	switch {
	case errors.Is(err, errBackendTimeout), errors.Is(err, context.DeadlineExceeded):
		code = http.StatusGatewayTimeout
	case r.Context().Err() != nil, errors.Is(err, errClientBody):
		code = statusClientGone
	}
	c := &exchangeOf(r.Context()).choice
	if code != statusClientGone && p.logLimit.Allow() {
		p.log.Warn("request not served", "host", r.Host, "path", r.URL.Path, "backend", c.Backend.String(), "code", code,
			"error", err)
	}
	w.Header().Set(servedBy, c.Backend.Namespace+"/"+c.Backend.Service)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, http.StatusText(code)+"\n")
}

// recorder remembers the status code.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	if r.status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController flush and hijack.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
