package checker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Exit codes of Run.
const (
	Passed    = 0
	Failed    = 1
	BadUsage  = 2
	Cancelled = 143 // ended by SIGTERM before it was done
)

const bodyLimit = 1 << 20

// plan is what the arguments ask for.
type plan struct {
	url       string
	headers   http.Header
	host      string
	expect    *regexp.Regexp
	expectRaw string
	statuses  []int
	count     int
	maxErrors int
	interval  time.Duration
	timeout   time.Duration
}

// Run does the checks that args ask for and returns the process's exit code. Each
// wrong answer is one line on out, and a summary is the last.
func Run(ctx context.Context, args []string, out io.Writer, client *http.Client) int {
	p, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return Passed
	}
	if err != nil {
		_, _ = fmt.Fprintln(out, "check:", err)
		return BadUsage
	}
	begin, wrong, sent := time.Now(), 0, 0
	for sent < p.count {
		if sent > 0 && !pause(ctx, p.interval) || ctx.Err() != nil {
			break
		}
		sent++
		if err := p.once(ctx, client); err != nil {
			wrong++
			_, _ = fmt.Fprintf(out, "request %d: %v\n", sent, err)
		}
	}
	return p.sum(ctx, out, sent, wrong, time.Since(begin))
}

func (p *plan) sum(ctx context.Context, out io.Writer, sent, wrong int, took time.Duration) int {
	verdict, code := "passed", Passed
	switch {
	case wrong > p.maxErrors:
		verdict, code = "FAILED", Failed
	case ctx.Err() != nil && sent < p.count:
		verdict, code = "cancelled", Cancelled
	}
	_, _ = fmt.Fprintf(out, "%s: %d of %d requests to %s were right, %d wrong (at most %d allowed), in %s\n",
		verdict, sent-wrong, sent, p.url, wrong, p.maxErrors, took.Round(time.Millisecond))
	return code
}

// pause waits and tells whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once sends one request and tells what is wrong with its answer.
func (p *plan) once(ctx context.Context, client *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	r.Header = p.headers.Clone()
	r.Host = p.host
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return p.judge(res.StatusCode, body)
}

func (p *plan) judge(status int, body []byte) error {
	if len(p.statuses) == 0 {
		if status < 200 || status > 299 {
			return fmt.Errorf("status %d, want 2xx: %s", status, excerpt(body))
		}
	} else if !slices.Contains(p.statuses, status) {
		return fmt.Errorf("status %d, want %v: %s", status, p.statuses, excerpt(body))
	}
	if p.expect != nil && !p.expect.Match(body) {
		return fmt.Errorf("the answer has no %s: %s", p.expectRaw, excerpt(body))
	}
	return nil
}

func excerpt(body []byte) string {
	const most = 120
	text := strings.TrimSpace(string(body))
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strconv.Quote(text)
}

func parse(args []string, out io.Writer) (*plan, error) {
	p := &plan{headers: http.Header{}}
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&p.url, "url", "", "where to send the requests (required)")
	f.Func("header", "a request header, NAME:VALUE; may be repeated", p.addHeader)
	f.Func("expect", "text that a right answer holds, or /REGEXP/", p.setExpect)
	f.Func("expect-status", "status of a right answer, or several with commas (default any 2xx)", p.setStatuses)
	f.IntVar(&p.count, "count", 1, "how many requests")
	f.IntVar(&p.maxErrors, "max-errors", 0, "how many wrong answers are allowed")
	f.DurationVar(&p.interval, "interval", 0, "pause between two requests")
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "longest wait for one answer")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("argument %q is not understood: every argument is a flag such as --url", f.Arg(0))
	}
	return p, p.validate()
}

func (p *plan) validate() error {
	u, err := url.Parse(p.url)
	switch {
	case p.url == "":
		return errors.New("--url is missing: say where to send the requests, such as --url http://shop/color")
	case err != nil:
		return fmt.Errorf("--url: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("--url %q: want http://HOST/PATH or https://HOST/PATH", p.url)
	case p.count < 1:
		return fmt.Errorf("--count %d: want at least 1", p.count)
	case p.maxErrors < 0:
		return fmt.Errorf("--max-errors %d: want 0 or more", p.maxErrors)
	case p.interval < 0:
		return fmt.Errorf("--interval %s: want 0 or more", p.interval)
	case p.timeout <= 0:
		return fmt.Errorf("--timeout %s: want more than 0", p.timeout)
	}
	return nil
}

func (p *plan) addHeader(text string) error {
	name, value, ok := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" {
		return errors.New("want NAME:VALUE")
	}
	if strings.EqualFold(name, "Host") {
		p.host = value
		return nil
	}
	p.headers.Add(name, value)
	return nil
}

func (p *plan) setExpect(text string) error {
	pattern := regexp.QuoteMeta(text)
	if len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/' {
		pattern = text[1 : len(text)-1]
	}
	re, err := regexp.Compile(pattern)
	p.expect, p.expectRaw = re, strconv.Quote(text)
	return err
}

func (p *plan) setStatuses(text string) error {
	for _, s := range strings.Split(text, ",") {
		code, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || code < 100 || code > 599 {
			return errors.New("want a status such as 200, or several: 200,204")
		}
		p.statuses = append(p.statuses, code)
	}
	return nil
}
