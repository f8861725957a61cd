package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/notifytest"
)

const password = "passSECRETword"

// config reaches the server.
func (s *server) config(t *testing.T) Config {
	t.Helper()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Host: host, Port: n, CA: s.ca, From: "Sluice <sluice@example.com>", To: []string{"a@example.com", "Bärbel <b@example.com>"},
		Username: s.user, Password: s.password, Dial: (&net.Dialer{}).DialContext, Now: notifytest.At,
	}
}

func send(t *testing.T, c Config, m notify.Message) error {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s.Send(t.Context(), m)
}

// TestWays: each way of encryption delivers, and the password goes over an encrypted connection only.
func TestWays(t *testing.T) {
	for _, c := range []struct {
		way    Encryption
		server *server
	}{
		{StartTLS, &server{user: "u", password: password}},
		{"", &server{}},
		{TLS, &server{implicit: true, user: "u", password: password}},
		{None, &server{plain: true}},
		{None, &server{}},
	} {
		c.server.start(t)
		config := c.server.config(t)
		config.Encryption = c.way
		if err := send(t, config, notifytest.Waiting()); err != nil {
			t.Errorf("%q: %v", c.way, err)
			continue
		}
		mails := c.server.got()
		if len(mails) != 1 {
			t.Fatalf("%q: %d mails", c.way, len(mails))
		}
		m := mails[0]
		if m.from != "sluice@example.com" || !slices.Equal(m.to, []string{"a@example.com", "b@example.com"}) || m.secure != (c.way != None) {
			t.Errorf("%q: %+v", c.way, m)
		}
	}
}

// read takes a mail apart as a mail program does.
func read(t *testing.T, raw string) (mail.Header, string, string) {
	t.Helper()
	for line := range strings.SplitSeq(raw, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("no line of a mail: %q", line)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, subject, string(body)
}

func TestMail(t *testing.T) {
	s := &server{}
	s.start(t)
	m := notifytest.Waiting()
	m.Title = "发布 web-7 等待 · größer"
	m.Text = "first line\n.\n.. dots\nlast: " + strings.Repeat("ü", 100)
	if err := send(t, s.config(t), m); err != nil {
		t.Fatal(err)
	}
	header, subject, body := read(t, s.got()[0].data)
	if subject != m.Title {
		t.Errorf("subject %q", subject)
	}
	want := strings.ReplaceAll(m.Text+`

Rollout: shop/web
Release: web-7
Step: half
Who can end the wait: anyone who may promote
Until: 2026-09-21 15:13 UTC
image: web:2
weight: 50

https://sluice.example.com/shop/web?a=1&b=2
`, "\n", "\r\n")
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	to, err := header.AddressList("To")
	if err != nil || len(to) != 2 || to[1].Name != "Bärbel" || to[1].Address != "b@example.com" {
		t.Errorf("to %v, %v", to, err)
	}
	if at, err := header.Date(); err != nil || !at.Equal(m.At.Truncate(time.Second)) {
		t.Errorf("at %s, %v", at, err)
	}
	for name, want := range map[string]string{
		"From": `"Sluice" <sluice@example.com>`, "Mime-Version": "1.0", "Content-Type": "text/plain; charset=utf-8",
		"Content-Transfer-Encoding": "quoted-printable", "Auto-Submitted": "auto-generated",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := header.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("id %q", id)
	}
}

// TestNoHeaderComesIn: whatever is in a message, the headers are ours, and nothing ends the mail early.
func TestNoHeaderComesIn(t *testing.T) {
	s := &server{}
	s.start(t)
	messages := notifytest.Hostile()
	evil := "x\r\nBcc: victim@example.com\r\n\r\nbody\r\n.\r\nMAIL FROM:<evil@example.com>\r\n"
	messages["evil"] = notify.Message{
		Event: notify.Event(evil), Namespace: evil, Rollout: evil, Release: evil, Step: evil, Title: evil, Text: evil, Who: evil,
		Fields: map[string]string{evil: evil}, Link: "https://a.example.com/" + evil,
	}
	messages["words"] = notify.Message{Event: notify.Done, Title: strings.Repeat("=?utf-8?q?=0D=0ABcc:_v@example.com?= ", 3), Text: "t"}
	known := []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	for name, m := range messages {
		before := len(s.got())
		if err := send(t, s.config(t), m); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mails := s.got()
		if len(mails) != before+1 {
			t.Fatalf("%s: %d mails of one", name, len(mails)-before)
		}
		header, _, _ := read(t, mails[before].data)
		var names []string
		for n := range header {
			names = append(names, n)
		}
		slices.Sort(names)
		if diff := cmp.Diff(known, names); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if s.heard("MAIL FROM:<evil") {
		t.Error("a command came in")
	}
}

// TestRefusals: what the server refuses for now is tried again, what it refuses for good is not, and no error tells the
// password.
func TestRefusals(t *testing.T) {
	reply := func(start, text string) *server {
		return &server{user: "u", password: password, replies: map[string]string{start: text}}
	}
	for _, c := range []struct {
		name      string
		server    *server
		change    func(*Config)
		temporary bool
		says      string
	}{
		{"greylisted", reply("RCPT", "451 try later"), nil, true, "try later"},
		{"no such user", reply("RCPT", "550 no such user"), nil, false, "send to a@example.com: 550 no such user"},
		{"sender", reply("MAIL", "550 not you"), nil, false, "send from sluice@example.com: 550"},
		{"shut down", reply("MAIL", "421 closing"), nil, true, "421"},
		{"too long", reply("DATA", "552 too much"), nil, false, "552"},
		{"no EHLO", &server{replies: map[string]string{"EHLO": "550 no", "HELO": "550 no"}}, nil, false, "greet: 550"},
		{"wrong password", &server{user: "u", password: "other"}, func(c *Config) { c.Password = password }, false, "sign in: 535"},
		{"no AUTH", &server{}, func(c *Config) { c.Username, c.Password = "u", password }, false, "no sign-in by PLAIN"},
		{"no STARTTLS", &server{plain: true, user: "u", password: password}, nil, false, "no STARTTLS"},
		{"STARTTLS fails", reply("STARTTLS", "454 not now"), nil, true, "secure: 454"},
		{"not trusted", &server{}, func(c *Config) { c.CA = nil }, true, "certificate"},
		{"another name", &server{implicit: true}, func(c *Config) {
			address := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
			c.Encryption, c.Host = TLS, "mail.example.com"
			c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
		}, true, "certificate"},
		{"TLS to a plain port", &server{}, func(c *Config) { c.Encryption = TLS }, true, "secure"},
		{"cannot be reached", &server{user: "u", password: password}, func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no route with " + password)
			}
		}, true, "no route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.start(t)
			config := c.server.config(t)
			if c.change != nil {
				c.change(&config)
			}
			err := send(t, config, notifytest.Waiting())
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(fmt.Sprintf("%v %#v", err, err), "SECRET") {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if again, _ := notify.Temporary(err); again != c.temporary {
				t.Errorf("again %v: %v", again, err)
			}
			if len(c.server.got()) > 0 {
				t.Errorf("delivered: %+v", c.server.got())
			}
			if c.server.plain && c.server.heard("AUTH") {
				t.Error("the password went out in the clear")
			}
		})
	}
}

// TestSomeRecipients: those whom the server takes have the mail once; the others are named.
func TestSomeRecipients(t *testing.T) {
	s := &server{replies: map[string]string{"RCPT TO:<a@": "450 mailbox busy"}}
	s.start(t)
	err := send(t, s.config(t), notifytest.Waiting())
	if again, _ := notify.Temporary(err); err == nil || again || !strings.Contains(err.Error(), "1 of 2 recipients have the mail") || !strings.Contains(err.Error(), "a@example.com") {
		t.Errorf("again %v: %v", again, err)
	}
	if mails := s.got(); len(mails) != 1 || !slices.Equal(mails[0].to, []string{"b@example.com"}) {
		t.Errorf("%+v", mails)
	}
}

// TestContext: the end of the context ends a conversation in which the server says nothing.
func TestContext(t *testing.T) {
	s := &server{silent: true}
	s.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	config := s.config(t)
	config.Dial = func(dial context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(dial, network, address)
		cancel()
		return conn, err
	}
	sink, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(ctx, notifytest.Waiting()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.Host = "" }, "email.host"},
		{func(c *Config) { c.Host = "a\r\nb" }, "email.host"},
		{func(c *Config) { c.Encryption = "ssl" }, "email.encryption"},
		{func(c *Config) { c.Encryption, c.Username, c.Password = None, "u", password }, "email.auth"},
		{func(c *Config) { c.CA = []byte("no PEM") }, "email.ca"},
		{func(c *Config) { c.From = "nobody" }, "email.from"},
		{func(c *Config) { c.From = "a@example.com\r\nBcc: v@example.com" }, "email.from"},
		{func(c *Config) { c.From = "ä@example.com" }, "email.from"},
		{func(c *Config) { c.To = nil }, "email.to"},
		{func(c *Config) { c.To = []string{"a@example.com", "a@example.com>, <v@example.com"} }, "email.to[1]"},
		{func(c *Config) { c.To = []string{`"a b"@example.com`} }, "email.to[0]"},
	} {
		config := Config{Host: "mail.example.com", From: "a@example.com", To: []string{"b@example.com"}}
		if _, err := New(config); err != nil {
			t.Fatal(err)
		}
		c.change(&config)
		_, err := New(config)
		if again, _ := notify.Temporary(err); err == nil || again || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("want %s, got %v", c.says, err)
		}
	}
	for way, port := range map[Encryption]int{"": 587, StartTLS: 587, TLS: 465, None: 25} {
		s, err := New(Config{Host: "mail.example.com", Encryption: way, From: "a@example.com", To: []string{"b@example.com"}})
		if err != nil || s.c.Port != port {
			t.Errorf("%q: %+v, %v", way, s, err)
		}
	}
}
