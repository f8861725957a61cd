package metric

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	// DefaultTimeout of one request, from its first packet to the last of the answer.
	DefaultTimeout = 10 * time.Second
	// MaxBody is as much of an answer as is read, in bytes.
	MaxBody = 1 << 20

	maxRedirects = 3
	maxHeader    = 64 << 10
)

// EgressOptions say what an installation lets its metrics, or its notifications, ask.
type EgressOptions struct {
	// Flag is what Hosts are named by, for errors to say. Default: --metric-hosts.
	Flag string
	// Hosts that may be asked: a name or an address, with a port or for all ports; *.SUFFIX for the names below a suffix;
	// * for whatever is on the public internet. None: nothing may be asked.
	Hosts []string
	// APIServer has the addresses and names of the API server, each with a port or for all ports. They may never be asked:
	// the controller's own place in the network may be more than a template's author has.
	APIServer []string
	// AllowLoopback lets this machine be asked, if Hosts has it. Only for the playground and for tests.
	AllowLoopback bool
}

// Egress makes HTTP clients that ask only what may be asked.
type Egress struct {
	flag      string
	rules     []hostRule
	apiServer []hostRule
	loopback  bool
	resolver  *net.Resolver
}

// NewEgress checks the options.
func NewEgress(o EgressOptions) (*Egress, error) {
	e := &Egress{flag: cmp.Or(o.Flag, metricHosts), loopback: o.AllowLoopback, resolver: net.DefaultResolver}
	for _, h := range o.Hosts {
		r, err := parseHostRule(h)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", e.flag, h, err)
		}
		e.rules = append(e.rules, r)
	}
	for _, h := range o.APIServer {
		r, err := parseHostRule(h)
		if err == nil && (r.any || r.suffix != "") {
			err = errors.New("write one host")
		}
		if err != nil {
			return nil, fmt.Errorf("address of the API server: %q: %w", h, err)
		}
		e.apiServer = append(e.apiServer, r)
	}
	return e, nil
}

// Client makes a client that connects anew for each request, so that each is looked at.
func (e *Egress) Client(c *tls.Config, timeout time.Duration) *http.Client {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Timeout: timeout,
		Transport: guard{egress: e, next: &http.Transport{
			Proxy:                  nil, // one from the environment would dial in our stead
			DialContext:            e.Dial,
			TLSClientConfig:        c,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeader,
		}},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			return redirect(req, via, len(c.Certificates) > 0)
		},
	}
}

// refused is why something may not be asked. It names no host: after a redirect that would be the server's word.
type refused string

func (r refused) Error() string { return string(r) }

// metricHosts is the flag that names what measurements may ask.
const metricHosts = "--metric-hosts"

func refusedHost(flag string) refused {
	return refused("the host is not allowed; whoever runs Sluice can add it to " + flag + " of sluice controller")
}

func refusedNothing(flag string) refused {
	return refused("no host is allowed; whoever runs Sluice can name some with " + flag + " of sluice controller")
}

func refusedPrivate(flag string) refused {
	return refused("the host is in a private network, which * in " + flag + " does not mean; name the host there")
}

const (
	refusedScheme   = refused("only http and https are asked")
	refusedUser     = refused("the URL has credentials; put them in a Secret and name it in connection.basicAuth")
	refusedName     = refused("the host is not in ASCII; write its xn-- form")
	refusedAPI      = refused("the API server may not be asked")
	refusedTooMany  = refused("more than 3 redirects")
	refusedIdentity = refused("a redirect to another host, with a client certificate set; set the final address")
)

// redirected marks what went wrong after a redirect.
type redirected struct{ error }

func (r redirected) Unwrap() error { return r.error }

// guard looks at each request, the redirected ones too.
type guard struct {
	egress *Egress
	next   http.RoundTripper
}

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	err := g.egress.permits(req.URL)
	var resp *http.Response
	if err == nil {
		resp, err = g.next.RoundTrip(req)
	}
	switch {
	case err != nil && req.Response != nil:
		return nil, redirected{err}
	case err != nil:
		return nil, err
	}
	resp.Body = &capped{ReadCloser: resp.Body, left: MaxBody}
	return resp, nil
}

// permits says whether the URL may be asked, as far as can be told from its text.
func (e *Egress) permits(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return refusedScheme
	case u.User != nil:
		return refusedUser
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	_, err := e.allowed(u.Hostname(), port)
	return err
}

// allowed finds the rule for a host. An explicit one is preferred to *, since it means private networks too.
func (e *Egress) allowed(host, port string) (rule hostRule, err error) {
	if len(e.rules) == 0 {
		return hostRule{}, refusedNothing(e.flag)
	}
	host = canonical(host)
	for i := range len(host) {
		if host[i] >= 0x80 {
			return hostRule{}, refusedName
		}
	}
	for _, r := range e.apiServer {
		if r.matches(host, port) {
			return hostRule{}, refusedAPI
		}
	}
	err = refusedHost(e.flag)
	for _, r := range e.rules {
		if r.matches(host, port) {
			if rule, err = r, nil; !r.any {
				break
			}
		}
	}
	return rule, err
}

// Dial is where it is decided: it knows the address that the name has at this very moment.
func (e *Egress) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("split address: %w", err)
	}
	rule, err := e.allowed(host, port)
	if err != nil {
		return nil, err
	}
	api, err := e.apiServerAddresses(ctx)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Resolver: e.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return refused("the address is not one of the internet protocol")
			}
			return e.mayDial(to, rule, api)
		},
	}
	return d.DialContext(ctx, network, address)
}

func (e *Egress) mayDial(to netip.AddrPort, rule hostRule, api []netip.AddrPort) error {
	addresses := embedded(to.Addr())
	for _, a := range addresses {
		for _, p := range api {
			if p.Addr() == a && (p.Port() == 0 || p.Port() == to.Port()) {
				return refusedAPI
			}
		}
	}
	for _, a := range addresses {
		kind := forbidden(a)
		if kind != "" && !(kind == loopback && e.loopback) {
			return refused("the host's address is " + kind + ", and may not be asked")
		}
		if rule.any && !public(a) {
			return refusedPrivate(e.flag)
		}
	}
	return nil
}

// apiServerAddresses looks the API server's names up. Where that fails nothing is asked: it could be the API server.
func (e *Egress) apiServerAddresses(ctx context.Context) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, r := range e.apiServer {
		addresses := []netip.Addr{r.address}
		if !r.address.IsValid() {
			var err error
			if addresses, err = e.resolver.LookupNetIP(ctx, "ip", r.host); err != nil {
				return nil, refused("the API server's own name does not resolve, so that it cannot be told from the host")
			}
		}
		for _, a := range addresses {
			out = append(out, netip.AddrPortFrom(a.Unmap().WithZone(""), r.portNumber()))
		}
	}
	return out, nil
}

// redirect keeps what is secret from other hosts: there go only the headers that say what kind of answer is wanted.
func redirect(req *http.Request, via []*http.Request, identified bool) error {
	if len(via) > maxRedirects {
		return refusedTooMany
	}
	if req.URL.User != nil {
		return refusedUser
	}
	away := !sameOrigin(req.URL, via[0].URL)
	for _, v := range via {
		away = away || !sameOrigin(v.URL, via[0].URL) // a host that was not trusted may not send us back with them either
	}
	if !away {
		return nil
	}
	if identified {
		return refusedIdentity
	}
	for name := range req.Header {
		switch name {
		case "Accept", "Content-Type", "User-Agent":
		default:
			delete(req.Header, name)
		}
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}

// errTooLarge ends the reading of an answer.
var errTooLarge = errors.New("the answer is larger than 1 MiB; ask for less")

// capped is a body that ends in an error where it is too large.
type capped struct {
	io.ReadCloser
	left int
}

func (c *capped) Read(p []byte) (int, error) {
	if len(p) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.ReadCloser.Read(p)
	if n > c.left {
		return c.left, errTooLarge
	}
	c.left -= n
	return n, err
}
