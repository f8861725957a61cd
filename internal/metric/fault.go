package metric

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
)

// explain says in our own words why there is no answer. The words of net/http hold what the other side wrote (its
// status line, the names in its certificate, where it redirects to), and that may be what we sent it.
func explain(err error) error {
	if r := (redirected{}); errors.As(err, &r) {
		return fmt.Errorf("after a redirect: %w", explain(r.error))
	}
	var r refused
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, errTooLarge):
		return errTooLarge
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("given up: %w", context.Canceled)
	case timedOut(err):
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	return explainNet(err)
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func explainNet(err error) error {
	if err := explainTLS(err); err != nil {
		return err
	}
	var (
		dns   *net.DNSError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &dns):
		return errors.New("the name does not resolve")
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection ended before the answer did")
	}
	return errors.New("the answer is not HTTP, or not one that can be read")
}

func explainTLS(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		op      *net.OpError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return errors.New("its certificate is signed by an unknown authority; name the authority's in connection.ca")
	case errors.As(err, &name):
		return errors.New("its certificate is for another name")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errors.New("its certificate has expired or is not valid yet")
	case errors.As(err, &verify) || errors.As(err, &invalid):
		return errors.New("its certificate is not valid")
	case errors.As(err, &op) && op.Op == "remote error": // an alert, one of a list in crypto/tls
		return fmt.Errorf("it refuses the TLS connection (%w)", op.Err)
	case errors.As(err, &record):
		return errors.New("it does not speak TLS; is the scheme http?")
	}
	return nil
}

// explainStatus says what a status code means for whoever wrote the template. The phrase is ours, not the server's.
func explainStatus(code int) error {
	text := http.StatusText(code)
	if text == "" {
		text = "a status of its own"
	}
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += "; look at the credentials"
	case http.StatusTooManyRequests:
		text += "; make the interval longer"
	}
	return fmt.Errorf("it answered %d %s", code, text)
}

// Known is the code that the other side gave, if it is one of those that we know; otherwise it says that it is not.
// What is not known may be anything.
func Known(code string, known ...string) string {
	if slices.Contains(known, code) {
		return code
	}
	return "a code that Sluice does not know"
}
