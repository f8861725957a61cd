package email

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/smtp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/notify"
)

// talk speaks SMTP from the greeting to the end.
func (s *Sink) talk(ctx context.Context, conn net.Conn, data []byte) error {
	if s.c.Encryption == TLS {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return s.failed(ctx, "secure", err)
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, s.c.Host)
	if err != nil {
		return s.failed(ctx, "greet", err)
	}
	if err := c.Hello("sluice"); err != nil {
		return s.failed(ctx, "greet", err)
	}
	if s.c.Encryption == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return refuse("it has no STARTTLS; set email.encryption to TLS if it has that, or to None if it is in the cluster")
		}
		if err := c.StartTLS(s.tls); err != nil {
			return s.failed(ctx, "secure", err)
		}
	}
	if s.c.Username+s.c.Password != "" {
		if _, ways := c.Extension("AUTH"); !slices.Contains(strings.Fields(ways), "PLAIN") {
			return refuse("it offers no sign-in by PLAIN; leave email.auth out, or ask for another server")
		}
		if err := c.Auth(smtp.PlainAuth("", s.c.Username, s.c.Password, s.c.Host)); err != nil {
			return s.failed(ctx, "sign in", err)
		}
	}
	if err := s.hand(ctx, c, data); err != nil {
		return err
	}
	// It is delivered; how the server takes its leave is of no account.
	_ = c.Quit()
	return nil
}

// hand gives the mail to the server.
func (s *Sink) hand(ctx context.Context, c *smtp.Client, data []byte) error {
	if err := c.Mail(s.from.Address); err != nil {
		return s.failed(ctx, "send from "+s.from.Address, err)
	}
	var refused []error
	for _, to := range s.to {
		if err := c.Rcpt(to.Address); err != nil {
			failed := s.failed(ctx, "send to "+to.Address, err)
			var r *notify.Refusal
			if !errors.As(failed, &r) {
				return failed // The conversation is over.
			}
			refused = append(refused, failed)
		}
	}
	if len(refused) == len(s.to) {
		return refused[0]
	}
	w, err := c.Data()
	if err != nil {
		return s.failed(ctx, "send", err)
	}
	if _, err := w.Write(data); err != nil {
		return s.failed(ctx, "send", err)
	}
	if err := w.Close(); err != nil {
		return s.failed(ctx, "send", err)
	}
	return partly(refused, len(s.to))
}

// partly says whom a mail that was delivered did not reach.
func partly(refused []error, all int) error {
	if len(refused) == 0 {
		return nil
	}
	var why []string
	for _, err := range refused {
		why = append(why, err.Error())
	}
	return refuse("%d of %d recipients have the mail; of the others: %s", all-len(refused), all,
		notify.Truncate(strings.Join(why, "; "), 600))
}
