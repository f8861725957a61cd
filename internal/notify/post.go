package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer is how much of an answer is read.
	maxAnswer = 16 << 10
	// maxExcerpt is how much of it an error quotes.
	maxExcerpt = 200
	// shortestSecret: what is shorter is found in any text, and hides nothing.
	shortestSecret = 4
)

// Post is one request to a webhook.
type Post struct {
	// Service that is asked, to speak of it.
	Service string
	// URL is a secret.
	URL string
	// Header beside Content-Type.
	Header http.Header
	// Body is JSON.
	Body []byte
	// Secrets that no error may show, beside the URL and its parts.
	Secrets []string
	// Now is when, to understand a Retry-After that names a date.
	Now time.Time
}

// CheckURL refuses what is no address of a webhook, without telling what it is. White space around it is borne: files
// end with a line end.
func CheckURL(service, raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return "", invalid(service, "the url in the Secret is no http or https address; put in the webhook's address as "+
			"the service shows it")
	}
	return raw, nil
}

// Send posts, and returns the body of an answer of a status 2xx. Redirects are not followed: they would take the
// message, and what signs it, to a place that nobody has named.
func (p Post) Send(ctx context.Context, client *http.Client) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(p.Body))
	if err != nil {
		return nil, invalid(p.Service, "the url in the Secret is no http or https address")
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "sluice")
	for name, values := range p.Header {
		request.Header[name] = values
	}
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := direct.Do(request)
	if err != nil {
		return nil, p.unreached(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, p.unreached(err)
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return body, nil
	}
	return nil, p.refused(answer, body)
}

// ErrCode reads an answer of {"errcode", "errmsg"}, as some services give one to whatever they are sent. Passing are
// the codes of troubles that pass by themselves, each with how long to wait at least.
func (p Post) ErrCode(answer []byte, passing map[int]time.Duration) error {
	var a struct {
		Code    *int   `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.Code == nil {
		return &Refusal{Service: p.Service, Reason: "its answer is none of a robot: " + p.Excerpt(string(answer))}
	}
	if *a.Code == 0 {
		return nil
	}
	wait, passes := passing[*a.Code]
	return &Refusal{
		Service: p.Service, Reason: fmt.Sprintf("errcode %d: %s", *a.Code, p.Excerpt(a.Message)), Temporary: passes,
		RetryAfter: wait,
	}
}

// unreached tells an error of the network without the address that net/http puts into it.
func (p Post) unreached(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("reach %s: %w", p.Service, known)
		}
	}
	// As text only: whoever unwraps it must not find the address.
	return fmt.Errorf("reach %s: %s", p.Service, p.Hide(err.Error()))
}

func (p Post) refused(answer *http.Response, body []byte) error {
	status := answer.StatusCode
	r := &Refusal{
		Service: p.Service,
		Reason:  strings.TrimSpace(fmt.Sprintf("it answered %d %s", status, http.StatusText(status))),
		Temporary: status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
			status == http.StatusTooEarly,
		RetryAfter: retryAfter(answer.Header.Get("Retry-After"), p.Now),
	}
	if status >= 300 && status < 400 {
		r.Reason += ", which is not followed; put the address that it leads to into the Secret"
	} else if text := p.Excerpt(string(body)); text != "" {
		r.Reason += ": " + text
	}
	return r
}

// retryAfter reads seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(n, 0)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// Excerpt is the beginning of a service's answer, on one line and without secrets.
func (p Post) Excerpt(text string) string { return Truncate(p.Hide(Line(text)), maxExcerpt) }

// Hide takes the secrets out of a text.
func (p Post) Hide(text string) string {
	return Hide(text, append(secretParts(p.URL), p.Secrets...)...)
}

// Hide takes secrets out of a text, the longest first.
func Hide(text string, secrets ...string) string {
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, s := range secrets {
		if len(s) >= shortestSecret {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}

// secretParts are the forms and pieces in which an address can come back. The host is not secret.
func secretParts(raw string) []string {
	out := []string{raw}
	u, err := url.Parse(raw)
	if err != nil {
		return out
	}
	if len(u.Path) > 1 {
		out = append(out, u.Path, u.EscapedPath(), u.RequestURI())
	}
	for piece := range strings.SplitSeq(u.Path, "/") {
		if len(piece) >= 8 { // Shorter ones are words, as services or hook.
			out = append(out, piece, url.PathEscape(piece))
		}
	}
	out = append(out, u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			out = append(out, v, url.QueryEscape(v))
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		out = append(out, u.User.String(), u.User.Username(), password)
	}
	return out
}
