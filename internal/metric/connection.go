package metric

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	userAgent = "sluice"
	// minSecret is the length from which a secret is looked for in what a server wrote; shorter ones are in every text.
	minSecret = 6
	hidden    = "(secret)"
)

// Conn is the way to one source: a client, and what is sent along with each request.
type Conn struct {
	client  *http.Client
	header  http.Header
	query   Query
	secrets []string
}

// Request is one question.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
}

// Answer is what came back.
type Answer struct {
	Status int
	Body   []byte
	host   string
}

// Connect reads the Secrets of a connection, which may be nil.
func Connect(q Query, c *v1alpha1.Connection) (*Conn, error) {
	if q.Egress == nil {
		return nil, refusedNothing(metricHosts)
	}
	conn := &Conn{header: http.Header{"User-Agent": {userAgent}}, query: q}
	if c == nil {
		c = &v1alpha1.Connection{}
	}
	if c.BearerToken != nil && c.BasicAuth != nil {
		return nil, errors.New("connection: set bearerToken or basicAuth, not both")
	}
	for _, step := range []func(*v1alpha1.Connection) error{conn.bearer, conn.basic, conn.headers} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	t, err := conn.tls(c)
	if err != nil {
		return nil, err
	}
	timeout := DefaultTimeout
	if c.Timeout != nil && c.Timeout.Duration > 0 {
		timeout = c.Timeout.Duration
	}
	conn.client = q.Egress.Client(t, timeout)
	return conn, nil
}

// Secret reads one value of a Secret and keeps it out of all texts; field is the one that names the Secret.
func (c *Conn) Secret(field, name, key string) (string, error) {
	if c.query.Secret == nil {
		return "", fmt.Errorf("%s: Secrets are not read here", field)
	}
	v, err := c.query.Secret(name, key)
	if err != nil {
		return "", fmt.Errorf("%s: read key %s of Secret %s: %w", field, key, name, err)
	}
	if v = strings.TrimRight(v, "\r\n"); v == "" {
		return "", fmt.Errorf("%s: key %s of Secret %s is empty", field, key, name)
	}
	c.hide(v)
	return v, nil
}

// Token sends a secret as a header with each request, after a prefix.
func (c *Conn) Token(field string, ref v1alpha1.SecretKeyReference, header, prefix string) error {
	v, err := c.Secret(field, ref.Name, ref.Key)
	if err != nil {
		return err
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("%s: key %s of Secret %s has control characters, which no header may have", field, ref.Key,
			ref.Name)
	}
	return c.set(field, header, prefix+v)
}

func (c *Conn) set(field, header, value string) error {
	header = http.CanonicalHeaderKey(header)
	switch header {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer":
		return fmt.Errorf("%s: %s is not for a template to set", field, header)
	}
	if _, twice := c.header[header]; twice && header != "User-Agent" {
		return fmt.Errorf("%s: %s is set twice", field, header)
	}
	c.header.Set(header, value)
	return nil
}

// hide keeps the longest first: of one that has another in it nothing may be left over.
func (c *Conn) hide(secret string) {
	if len(secret) >= minSecret {
		c.secrets = append(c.secrets, secret)
		slices.SortStableFunc(c.secrets, func(a, b string) int { return len(b) - len(a) })
	}
}

func (c *Conn) bearer(s *v1alpha1.Connection) error {
	if s.BearerToken == nil {
		return nil
	}
	return c.Token("connection.bearerToken", *s.BearerToken, "Authorization", "Bearer ")
}

func (c *Conn) basic(s *v1alpha1.Connection) error {
	if s.BasicAuth == nil {
		return nil
	}
	const field = "connection.basicAuth"
	user, err := c.Secret(field, s.BasicAuth.Name, "username")
	if err != nil {
		return err
	}
	password, err := c.Secret(field, s.BasicAuth.Name, "password")
	if err != nil {
		return err
	}
	both := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	c.hide(both)
	return c.set(field, "Authorization", "Basic "+both)
}

func (c *Conn) headers(s *v1alpha1.Connection) error {
	for _, h := range s.Headers {
		field := "connection.headers, " + h.Name
		var err error
		if h.Secret != nil {
			err = c.Token(field, *h.Secret, h.Name, "")
		} else {
			err = c.set(field, h.Name, h.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) tls(s *v1alpha1.Connection) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != nil {
		pem, err := c.Secret("connection.ca", s.CA.Name, s.CA.Key)
		if err != nil {
			return nil, err
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, fmt.Errorf("connection.ca: key %s of Secret %s has no certificate in PEM", s.CA.Key, s.CA.Name)
		}
	}
	if s.ClientCertificate == nil {
		return out, nil
	}
	const field = "connection.clientCertificate"
	crt, err := c.Secret(field, s.ClientCertificate.Name, "tls.crt")
	if err != nil {
		return nil, err
	}
	key, err := c.Secret(field, s.ClientCertificate.Name, "tls.key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(crt), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("%s: tls.crt and tls.key of Secret %s are no certificate and its key, in PEM", field,
			s.ClientCertificate.Name)
	}
	out.Certificates = []tls.Certificate{pair}
	return out, nil
}

// Ask sends one request and reads the answer, whatever its status. No error has a word of the server's.
func (c *Conn) Ask(ctx context.Context, r Request) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: the request cannot be made; look at the address", r.URL.Host)
	}
	for _, h := range []http.Header{r.Header, c.header} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", r.URL.Host, explain(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", r.URL.Host, explain(err))
	}
	return Answer{Status: resp.StatusCode, Body: body, host: r.URL.Host}, nil
}

// Good holds for the statuses 2xx.
func (a Answer) Good() bool { return a.Status >= 200 && a.Status < 300 }

// Err is why an answer is none, by its status.
func (a Answer) Err() error {
	if a.Good() {
		return nil
	}
	return fmt.Errorf("ask %s: %w", a.host, explainStatus(a.Status))
}

// Scrub is a value without the secrets that this connection has read, in case the server sends back what it was sent.
func (c *Conn) Scrub(v any) any {
	switch v := v.(type) {
	case string:
		for _, s := range c.secrets {
			v = strings.ReplaceAll(v, s, hidden)
		}
		return v
	case []any:
		for i := range v {
			v[i] = c.Scrub(v[i])
		}
	case map[string]any:
		for k, x := range v {
			if clean := c.Scrub(k); clean != k {
				delete(v, k)
				k, _ = clean.(string)
			}
			v[k] = c.Scrub(x)
		}
	}
	return v
}

// Said is a short text of the other side's, for those protocols that have one for people: bounded, and without secrets.
func (c *Conn) Said(text string) string {
	clean, _ := c.Scrub(text).(string)
	return Bounded(clean, 256)
}

// Endpoint is an address with a path appended; field is the one that has the address.
func Endpoint(field, address string, path ...string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%s: is no URL as http://HOST:PORT", field)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%s: %w", field, refusedScheme)
	case u.User != nil:
		return nil, fmt.Errorf("%s: %w", field, refusedUser)
	}
	u.Fragment, u.RawFragment = "", ""
	if len(path) > 0 {
		u = u.JoinPath(path...)
	}
	return u, nil
}
