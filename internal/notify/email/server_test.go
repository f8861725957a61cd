package email

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a small mail server. It keeps to the order of RFC 5321, offers STARTTLS (RFC 3207) and, once the connection
// is encrypted, AUTH PLAIN (RFC 4954); what is not so it answers as a real one does.
type server struct {
	// implicit: TLS from the first byte. plain: no STARTTLS.
	implicit, plain bool
	// user and password are wanted before MAIL, if they are set.
	user, password string
	// replies instead of the usual ones, by the first words of a command, as "RCPT TO:<b@".
	replies map[string]string
	// silent: nothing is said at all.
	silent bool

	addr string
	ca   []byte
	cert tls.Certificate

	mu    sync.Mutex
	mails []received
	lines []string // that came in, as they came
}

type received struct {
	from   string
	to     []string
	data   string
	secure bool
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cert, s.ca = certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			all.Go(func() {
				defer conn.Close()
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
}

func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// session is one connection.
type session struct {
	s                    *server
	conn                 net.Conn
	r                    *bufio.Reader
	hello, secure, known bool
	mail                 *received
}

func (s *server) serve(conn net.Conn) {
	c := &session{s: s, conn: conn}
	if s.silent {
		_, _ = bufio.NewReader(conn).ReadString('\n')
		return
	}
	if s.implicit {
		c.encrypt()
	}
	c.r = bufio.NewReader(c.conn)
	c.say("220 mail.example.com ESMTP")
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		if !strings.HasSuffix(line, "\r\n") {
			c.say("500 bare line feed")
			return
		}
		if c.command(strings.TrimSuffix(line, "\r\n")) {
			return
		}
	}
}

func (c *session) encrypt() {
	secure := tls.Server(c.conn, &tls.Config{Certificates: []tls.Certificate{c.s.cert}})
	c.conn, c.secure = secure, true
}

func (c *session) say(lines ...string) {
	for _, l := range lines {
		fmt.Fprintf(c.conn, "%s\r\n", l)
	}
}

// command answers one, and says whether it was the last.
func (c *session) command(line string) (last bool) {
	for start, reply := range c.s.replies {
		if strings.HasPrefix(line, start) {
			c.say(reply)
			return strings.HasPrefix(reply, "421")
		}
	}
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO":
		c.hello = true
		c.greet()
	case "STARTTLS":
		if c.secure || c.s.plain {
			c.say("502 no")
			return false
		}
		c.say("220 go ahead")
		c.encrypt()
		c.r, c.hello = bufio.NewReader(c.conn), false // RFC 3207: all that was said is forgotten.
	case "AUTH":
		c.auth(rest)
	case "MAIL":
		c.begin(rest)
	case "RCPT":
		if c.mail == nil {
			c.say("503 MAIL first")
			return false
		}
		c.mail.to = append(c.mail.to, strings.TrimSuffix(strings.TrimPrefix(rest, "TO:<"), ">"))
		c.say("250 ok")
	case "DATA":
		c.data()
	case "QUIT":
		c.say("221 bye")
		return true
	default:
		c.say("502 unknown")
	}
	return false
}

func (c *session) greet() {
	lines := []string{"250-mail.example.com"}
	if !c.secure && !c.s.plain {
		lines = append(lines, "250-STARTTLS")
	}
	if c.s.user != "" && c.secure {
		lines = append(lines, "250-AUTH PLAIN")
	}
	c.say(append(lines, "250 SIZE 1000000")...)
}

func (c *session) auth(rest string) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
	switch {
	case !c.secure:
		c.say("538 encryption required")
	case err != nil || string(raw) != "\x00"+c.s.user+"\x00"+c.s.password:
		c.say("535 wrong: " + string(raw) + " " + rest) // There are servers that say too much.
	default:
		c.known = true
		c.say("235 ok")
	}
}

func (c *session) begin(rest string) {
	from, _, ok := strings.Cut(strings.TrimPrefix(rest, "FROM:<"), ">")
	switch {
	case !c.hello:
		c.say("503 EHLO first")
	case c.s.user != "" && !c.known:
		c.say("530 sign in first")
	case !ok:
		c.say("501 from whom")
	default:
		c.mail = &received{from: from, secure: c.secure}
		c.say("250 ok")
	}
}

func (c *session) data() {
	if c.mail == nil || len(c.mail.to) == 0 {
		c.say("503 RCPT first")
		return
	}
	c.say("354 go on")
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	c.mail.data = b.String()
	c.s.mu.Lock()
	c.s.mails = append(c.s.mails, *c.mail)
	c.s.mu.Unlock()
	c.mail = nil
	c.say("250 queued")
}

func (s *server) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails
}

func (s *server) heard(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.lines, ""), text)
}
