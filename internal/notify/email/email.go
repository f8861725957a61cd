// Package email sends messages by a mail server: STARTTLS, TLS from the first byte, or neither within a cluster; with a
// user's name and password (PLAIN), or without.
//
// A password never leaves without encryption, and where encryption was asked for and the server has none, nothing is
// sent. Whatever stands in a message cannot become a header: titles lose their line ends and are encoded, and addresses
// are parsed and written anew.
//
// It may import the standard library and its parent. Registry imports it.
package email

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
)

const service = "the mail server"

// Encryption is how the connection is protected.
type Encryption string

// The ways.
const (
	StartTLS Encryption = "StartTLS"
	TLS      Encryption = "TLS"
	None     Encryption = "None"
)

// ports where none is named.
var ports = map[Encryption]int{StartTLS: 587, TLS: 465, None: 25}

// maxSubject in bytes: what a list of mails shows is shorter.
const maxSubject = 256

// Config of a sink.
type Config struct {
	// Host and Port of the mail server; Port 0 is the usual one.
	Host string
	Port int
	// Encryption; empty is StartTLS.
	Encryption Encryption
	// CA in PEM that the server's certificate is checked with; empty is the system's.
	CA []byte
	// Username and Password, if the server wants them. Secrets.
	Username, Password string
	// From and To are addresses, as a@example.com or "A <a@example.com>".
	From string
	To   []string
	// Dial makes connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time
}

// Sink sends from one address to some.
type Sink struct {
	c    Config
	from *mail.Address
	to   []*mail.Address
	tls  *tls.Config
}

// New checks the configuration.
func New(c Config) (*Sink, error) {
	s := &Sink{c: c, tls: &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}}
	if s.c.Encryption == "" {
		s.c.Encryption = StartTLS
	}
	usual, known := ports[s.c.Encryption]
	if !known {
		return nil, refuse("email.encryption: %q is none of StartTLS, TLS and None", c.Encryption)
	}
	if s.c.Port == 0 {
		s.c.Port = usual
	}
	if c.Host == "" || strings.ContainsAny(c.Host, " /\r\n") {
		return nil, refuse("email.host: %q is no name of a server", c.Host)
	}
	if s.c.Encryption == None && c.Username+c.Password != "" {
		return nil, refuse("email.auth: a password is not sent without encryption; set email.encryption to StartTLS or TLS")
	}
	if len(c.CA) > 0 {
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(c.CA) {
			return nil, refuse("email.ca: the Secret has no certificate in PEM")
		}
	}
	var err error
	if s.from, err = address("email.from", c.From); err != nil {
		return nil, err
	}
	for i, to := range c.To {
		a, err := address(fmt.Sprintf("email.to[%d]", i), to)
		if err != nil {
			return nil, err
		}
		s.to = append(s.to, a)
	}
	if len(s.to) == 0 {
		return nil, refuse("email.to: name at least one recipient")
	}
	return s, nil
}

func refuse(format string, args ...any) error {
	return &notify.Refusal{Service: service, Reason: fmt.Sprintf(format, args...)}
}

// address takes ASCII addresses only: others need a server that speaks SMTPUTF8. Names may be in any script.
func address(field, text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || len(a.Address) > 254 || strings.ContainsFunc(a.Address,
		func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) {
		return nil, refuse("%s: %q is no address; write it as a@example.com or A <a@example.com>", field,
			notify.Truncate(text, 100))
	}
	a.Name = notify.Line(a.Name)
	return a, nil
}

// Send delivers the message to all recipients. Where the server refuses some of them, the others get it, and the error
// says that it is of no use to try again.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	data, err := s.write(m)
	if err != nil {
		return err
	}
	conn, err := s.c.Dial(ctx, "tcp", net.JoinHostPort(s.c.Host, strconv.Itoa(s.c.Port)))
	if err != nil {
		return s.failed(ctx, "reach", err)
	}
	defer conn.Close()
	// net/smtp knows no context: its end closes the connection.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return s.talk(ctx, conn, data)
}

// failed tells an error without secrets, and keeps apart what may pass.
func (s *Sink) failed(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", verb, service, ctx.Err())
	}
	said := err.Error()
	var reply *textproto.Error
	if errors.As(err, &reply) {
		said = fmt.Sprintf("%d %s", reply.Code, reply.Msg)
	}
	// A server may quote the password as it was sent.
	sent := base64.StdEncoding.EncodeToString([]byte("\x00" + s.c.Username + "\x00" + s.c.Password))
	text := notify.Truncate(notify.Hide(notify.Line(said), s.c.Password, sent), 300)
	if reply != nil {
		// 5xx is for good, and 4xx for now.
		return &notify.Refusal{Service: service, Reason: fmt.Sprintf("%s: %s", verb, text), Temporary: reply.Code < 500}
	}
	return fmt.Errorf("%s %s: %s", verb, service, text)
}

// write makes the mail: headers and a plain text.
func (s *Sink) write(m notify.Message) ([]byte, error) {
	var b bytes.Buffer
	at := m.At
	if at.IsZero() {
		at = s.c.Now()
	}
	var to []string
	for _, a := range s.to {
		to = append(to, a.String())
	}
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", s.from.String())
	header("To", strings.Join(to, ",\r\n "))
	// Encoded words stand one on a line, since lines are short in mails.
	header("Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", m.Headline(maxSubject)), "?= =?", "?=\r\n =?"))
	header("Date", at.UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+s.id(m)+">")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	// Whoever is away need not be told.
	header("Auto-Submitted", "auto-generated")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ReplaceAll(text(m), "\n", "\r\n"))); err != nil {
		return nil, fmt.Errorf("write mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write mail: %w", err)
	}
	return b.Bytes(), nil
}

// id is the same for each attempt at one message, so that a mailbox can tell that it has it.
func (s *Sink) id(m notify.Message) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q %q", m.Event, m.Namespace, m.Rollout, m.Release, m.Step,
		m.Text, m.At.UTC().Format(time.RFC3339Nano)))
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return hex.EncodeToString(sum[:16]) + "@" + domain
}

func text(m notify.Message) string {
	var b strings.Builder
	if words := notify.Clean(m.Text); words != "" {
		b.WriteString(words + "\n\n")
	}
	for _, f := range m.Facts() {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	if link := notify.Link(m.Link); link != "" {
		b.WriteString("\n" + link + "\n")
	}
	return b.String()
}
