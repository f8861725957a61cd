package metric

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func egress(t *testing.T, o EgressOptions) *Egress {
	t.Helper()
	e, err := NewEgress(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestHostRules(t *testing.T) {
	for _, c := range []struct {
		rule, url string
		allowed   bool
	}{
		{"prometheus.monitoring", "http://prometheus.monitoring:9090/x", true},
		{"prometheus.monitoring", "https://prometheus.monitoring", true},
		{"prometheus.monitoring", "http://PROMETHEUS.monitoring.", true},
		{"Prometheus.Monitoring.", "http://prometheus.monitoring", true},
		{"prometheus.monitoring", "http://prometheus.monitoring.evil.example", false},
		{"prometheus.monitoring", "http://xprometheus.monitoring", false},
		{"prometheus.monitoring:9090", "http://prometheus.monitoring:9090", true},
		{"prometheus.monitoring:9090", "http://prometheus.monitoring", false},
		{"prometheus.monitoring:80", "http://prometheus.monitoring", true},
		{"prometheus.monitoring:443", "https://prometheus.monitoring", true},
		{"prometheus.monitoring:443", "http://prometheus.monitoring", false},
		{"*.example.com", "http://a.example.com", true},
		{"*.example.com", "http://a.b.example.com:1", true},
		{"*.example.com", "http://example.com", false},
		{"*.example.com", "http://badexample.com", false},
		{"*.example.com", "http://.example.com", false},
		{"*.example.com:443", "https://a.example.com", true},
		{"*.example.com:443", "http://a.example.com", false},
		{"10.0.0.1", "http://10.0.0.1:9090", true},
		{"10.0.0.1", "http://[::ffff:10.0.0.1]:9090", true},
		{"10.0.0.1", "http://10.0.0.11", false},
		{"fd00::1", "http://[fd00:0::1]", true},
		{"[fd00::1]:9090", "http://[fd00::1]:9090", true},
		{"[fd00::1]:9090", "http://[fd00::1]", false},
		{"*", "http://anything.example", true},
		{"*", "http://ⓔxample.com", false},
		{"*", "ftp://anything.example", false},
		{"*", "http://user@anything.example", false},
		{"*", "http://user:password@anything.example", false},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		err = egress(t, EgressOptions{Hosts: []string{c.rule}}).permits(u)
		if (err == nil) != c.allowed {
			t.Errorf("rule %s, URL %s: %v", c.rule, c.url, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, h := range []string{
		"", "http://prometheus", "prometheus/path", "*.", "**", "*.*.com", "a.*.com", "*.10.0.0.1", "*.com:0", "a:99999", "a:x", "a b", "127.1",
		"2130706433", "é.example", "a..b",
	} {
		if _, err := NewEgress(EgressOptions{Hosts: []string{h}}); err == nil || !strings.HasPrefix(err.Error(), "--metric-hosts: ") {
			t.Errorf("%q: error is %v", h, err)
		}
	}
	if _, err := NewEgress(EgressOptions{Flag: "--notify-hosts", Hosts: []string{"a b"}}); err == nil || !strings.HasPrefix(err.Error(), "--notify-hosts: ") {
		t.Errorf("error is %v, want the flag's name", err)
	}
	if err := egress(t, EgressOptions{Flag: "--notify-hosts"}).permits(&url.URL{Scheme: "https", Host: "a"}); err == nil || !strings.Contains(err.Error(), "with --notify-hosts of") {
		t.Errorf("error is %v, want the flag's name", err)
	}
	for _, h := range []string{"*", "*.example.com", "https://api"} {
		if _, err := NewEgress(EgressOptions{APIServer: []string{h}}); err == nil {
			t.Errorf("API server %q is taken", h)
		}
	}
}

func TestAddresses(t *testing.T) {
	named, any := hostRule{host: "h"}, hostRule{any: true}
	api := []netip.AddrPort{netip.MustParseAddrPort("10.96.0.1:0"), netip.MustParseAddrPort("10.1.1.1:6443")}
	for _, c := range []struct {
		to            string
		named, public bool // may be dialled, by a rule that names the host, and by *
	}{
		{"93.184.216.34:80", true, true},
		{"[2606:2800:220:1::1]:443", true, true},
		{"[64:ff9b::5db8:d822]:80", true, true}, // 93.184.216.34 by NAT64
		{"10.0.0.1:9090", true, false},
		{"172.16.0.1:80", true, false},
		{"192.168.1.1:80", true, false},
		{"100.64.0.1:80", true, false},
		{"198.18.0.1:80", true, false},
		{"[fd00::1]:80", true, false},
		{"[64:ff9b::a00:1]:80", true, false}, // 10.0.0.1 by NAT64
		{"[::ffff:10.0.0.1]:80", true, false},
		{"[2002:a00:1::]:80", true, false}, // 10.0.0.1 by 6to4
		{"127.0.0.1:80", false, false},
		{"127.9.9.9:80", false, false},
		{"[::1]:80", false, false},
		{"[::ffff:127.0.0.1]:80", false, false},
		{"[::127.0.0.1]:80", false, false},
		{"[64:ff9b::7f00:1]:80", false, false},
		{"0.0.0.0:80", false, false},
		{"0.1.2.3:80", false, false},
		{"[::]:80", false, false},
		{"169.254.169.254:80", false, false},
		{"169.254.170.2:80", false, false},
		{"[::ffff:169.254.169.254]:80", false, false},
		{"[::ffff:0:169.254.169.254]:80", false, false},
		{"[64:ff9b::a9fe:a9fe]:80", false, false},
		{"[64:ff9b:1::a9fe:a9fe]:80", false, false},
		{"[2002:a9fe:a9fe::1]:80", false, false},
		{"[fe80::1]:80", false, false},
		{"[fe80::1%eth0]:80", false, false},
		{"[fd00:ec2::254]:80", false, false},
		{"[fd20:ce::254]:80", false, false},
		{"100.100.100.200:80", false, false},
		{"168.63.129.16:80", false, false},
		{"192.0.0.192:80", false, false},
		{"224.0.0.1:80", false, false},
		{"[ff02::1]:80", false, false},
		{"255.255.255.255:80", false, false},
		{"240.0.0.1:80", false, false},
		{"[2001::1]:80", false, false},
		{"10.96.0.1:443", false, false}, // the API server, at any port
		{"10.96.0.1:9090", false, false},
		{"[::ffff:10.96.0.1]:443", false, false},
		{"[64:ff9b::a60:1]:443", false, false},
		{"10.1.1.1:6443", false, false}, // and at one
		{"10.1.1.1:9090", true, false},
	} {
		to := netip.MustParseAddrPort(c.to)
		e := egress(t, EgressOptions{})
		if err := e.mayDial(to, named, api); (err == nil) != c.named {
			t.Errorf("%s by a rule that names it: %v", c.to, err)
		}
		if err := e.mayDial(to, any, api); (err == nil) != c.public {
			t.Errorf("%s by *: %v", c.to, err)
		}
		e = egress(t, EgressOptions{AllowLoopback: true})
		loop := slices.ContainsFunc(embedded(to.Addr()), netip.Addr.IsLoopback)
		if err := e.mayDial(to, named, api); (err == nil) != (c.named || loop) {
			t.Errorf("%s with AllowLoopback: %v", c.to, err)
		}
		if err := e.mayDial(to, any, api); (err == nil) != c.public {
			t.Errorf("%s by * with AllowLoopback: %v", c.to, err)
		}
	}
}

// resolver answers each question for an IPv4 address with what the function says.
func resolver(t *testing.T, answer func(name string) (netip.Addr, bool)) *net.Resolver {
	t.Helper()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(reply(buffer[:n], answer), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// reply is a DNS answer with one A record, or NXDOMAIN.
func reply(q []byte, answer func(string) (netip.Addr, bool)) []byte {
	var labels []string
	i := 12
	for q[i] != 0 {
		labels = append(labels, string(q[i+1:i+1+int(q[i])]))
		i += 1 + int(q[i])
	}
	question := q[12 : i+5]
	kind := binary.BigEndian.Uint16(q[i+1:])
	a, known := answer(strings.Join(labels, "."))
	code, count := byte(0), byte(0)
	if !known {
		code = 3
	} else if kind == 1 {
		count = 1
	}
	out := append([]byte{q[0], q[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0}, question...)
	if count == 1 {
		ip := a.As4()
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, ip[:]...)
	}
	return out
}

func get(t *testing.T, e *Egress, address string) error {
	t.Helper()
	u, err := Endpoint("url", address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Connect(Query{Egress: e}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Ask(t.Context(), Request{Method: http.MethodGet, URL: u})
	return err
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err == nil {
		return
	}
	if err == nil || want == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, not %q", err, want)
	}
}

// A name that is allowed leads where its owner wants, each time anew: the address that is dialled decides.
func TestRebinding(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	address := "http://prom.example:" + port
	e := egress(t, EgressOptions{Hosts: []string{"prom.example"}, AllowLoopback: true})
	var now atomic.Value
	e.resolver = resolver(t, func(string) (netip.Addr, bool) {
		a := netip.MustParseAddr(now.Load().(string))
		return a, true
	})
	for _, c := range []struct{ resolves, want string }{
		{"127.0.0.1", ""},
		{"169.254.169.254", "link-local"},
		{"0.0.0.0", "unspecified"},
		{"100.100.100.200", "metadata service"},
		{"127.0.0.1", ""},
	} {
		now.Store(c.resolves)
		wantError(t, get(t, e, address), c.want)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the server was asked %d times", n)
	}
	e.loopback = false
	wantError(t, get(t, e, address), "loopback")
}

func TestAPIServerByName(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	known := map[string]string{"api.example": "127.0.0.1", "prom.example": "127.0.0.1"}
	for _, c := range []struct{ api, host, want string }{
		{"api.example", "prom.example", "the API server may not be asked"}, // its address, by another name
		{"api.example", "api.example", "the API server may not be asked"},
		{"api.example:1", "prom.example", ""},
		{"api.example:" + port, "prom.example", "the API server may not be asked"},
		{"127.0.0.1", "prom.example", "the API server may not be asked"},
		{"127.0.0.1:" + port, "127.0.0.1", "the API server may not be asked"},
		{"127.0.0.1:" + port, "[::ffff:127.0.0.1]", "the API server may not be asked"},
		{"gone.example", "prom.example", "the API server's own name does not resolve"},
	} {
		e := egress(t, EgressOptions{Hosts: []string{"prom.example", "api.example", "127.0.0.1"}, APIServer: []string{c.api}, AllowLoopback: true})
		e.resolver = resolver(t, func(name string) (netip.Addr, bool) {
			a, ok := known[strings.TrimSuffix(name, ".")]
			if !ok {
				return netip.Addr{}, false
			}
			return netip.MustParseAddr(a), true
		})
		t.Run(c.api+" "+c.host, func(t *testing.T) { wantError(t, get(t, e, "http://"+c.host+":"+port), c.want) })
	}
}

// A proxy would dial in our stead. The environment is read once in a process, so that setting it here would prove nothing.
func TestNoProxy(t *testing.T) {
	g, _ := egress(t, EgressOptions{}).Client(nil, DefaultTimeout).Transport.(guard)
	tr, ok := g.next.(*http.Transport)
	if !ok || tr.Proxy != nil || tr.DialContext == nil || tr.DialTLSContext != nil || !tr.DisableKeepAlives {
		t.Errorf("the transport is %+v", tr)
	}
}

func TestCertificateForAnotherName(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	e := egress(t, EgressOptions{Hosts: []string{"prom.example"}, AllowLoopback: true})
	e.resolver = resolver(t, func(string) (netip.Addr, bool) { return netip.MustParseAddr("127.0.0.1"), true })
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://prom.example:"+port, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.Client(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DefaultTimeout).Do(req)
	if err == nil {
		resp.Body.Close()
		t.Fatal("the certificate is taken")
	}
	wantError(t, explain(err), "its certificate is for another name")
}

func TestExplain(t *testing.T) {
	for want, err := range map[string]error{
		"has expired or is not valid yet":       &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "WORDS"}},
		"its certificate is not valid":          x509.CertificateInvalidError{Reason: x509.TooManyIntermediates, Detail: "WORDS"},
		"it does not speak TLS":                 tls.RecordHeaderError{Msg: "WORDS"},
		"is not HTTP":                           errors.New("malformed HTTP status code \"WORDS\""),
		"after a redirect: the name does not":   &url.Error{Op: "Get", URL: "http://WORDS", Err: redirected{&net.DNSError{Name: "WORDS", Err: "WORDS"}}},
		"the connection ended before":           fmt.Errorf("WORDS: %w", io.EOF),
		"after a redirect: no answer in time: ": redirected{context.DeadlineExceeded},
	} {
		got := explain(err)
		wantError(t, got, want)
		if strings.Contains(got.Error(), "WORDS") {
			t.Errorf("the words of others show in %q", got)
		}
	}
}
