package network

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// greet answers every connection with a word, until its listener closes.
func greet(l net.Listener, word string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, word)
		_ = c.Close()
	}
}

func hear(t *testing.T, dial func(context.Context, string, string) (net.Conn, error), addr string) string {
	t.Helper()
	c, err := dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read from %s: %v", addr, err)
	}
	return string(b)
}

func TestPodsWithTheSamePortAreApart(t *testing.T) {
	n := New()
	for _, want := range []string{"one", "two"} {
		ip, err := n.Allocate()
		if err != nil {
			t.Fatal(err)
		}
		l, err := n.Listen(t.Context(), ip, 8080)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go greet(l, want)
		if got := hear(t, n.DialContext, ip+":8080"); got != want {
			t.Errorf("%s answered %q, want %q", ip, got, want)
		}
	}
}

func TestListenFallsBackWhereLoopbackIsNarrow(t *testing.T) {
	n := New()
	actual := n.listen
	n.listen = func(ctx context.Context, addr string) (net.Listener, error) {
		if !strings.HasPrefix(addr, "127.0.0.1:") {
			return nil, syscall.EADDRNOTAVAIL
		}
		return actual(ctx, addr)
	}
	l, err := n.Listen(t.Context(), "198.18.0.9", 80)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go greet(l, "here")
	if got := hear(t, n.DialContext, "198.18.0.9:80"); got != "here" {
		t.Errorf("got %q", got)
	}
}

func TestClosedOrUnknownPortIsRefused(t *testing.T) {
	n := New()
	l, err := n.Listen(t.Context(), "198.18.0.1", 8080)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for _, addr := range []string{"198.18.0.1:8080", "198.18.0.1:9", "198.18.200.1:80"} {
		if _, err := n.DialContext(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial %s: %v, want connection refused", addr, err)
		}
	}
}

func TestListenRefusesWhatCannotBe(t *testing.T) {
	n := New()
	l, err := n.Listen(t.Context(), "198.18.0.1", 8080)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := n.Listen(t.Context(), "198.18.0.1", 8080); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v, want address in use", err)
	}
	for ip, port := range map[string]int{"10.0.0.1": 80, "x": 80, "198.18.0.1": 0} {
		if _, err := n.Listen(t.Context(), ip, port); err == nil {
			t.Errorf("listen on %s:%d was allowed", ip, port)
		}
	}
}

func TestAllocateGoesRoundAndEnds(t *testing.T) {
	n := New()
	seen := map[string]bool{}
	for {
		ip, err := n.Allocate()
		if errors.Is(err, ErrExhausted) {
			break
		}
		if seen[ip] {
			t.Fatalf("%s was handed out twice", ip)
		}
		seen[ip] = true
	}
	if len(seen) != 256*254 {
		t.Errorf("%d addresses, want %d", len(seen), 256*254)
	}
	n.Release("198.18.7.7")
	if ip, err := n.Allocate(); err != nil || ip != "198.18.7.7" {
		t.Errorf("after a release: %s, %v", ip, err)
	}
}

type resolverFunc func(namespace, host string, port int) (string, bool, error)

func (f resolverFunc) Resolve(_ context.Context, namespace, host string, port int) (string, bool, error) {
	return f(namespace, host, port)
}

func TestNamesGoThroughTheResolver(t *testing.T) {
	n := New()
	l, err := n.Listen(t.Context(), "198.18.0.1", 8080)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go greet(l, "shop")
	n.SetResolver(resolverFunc(func(namespace, host string, port int) (string, bool, error) {
		switch {
		case namespace == "demo" && host == "shop" && port == 80, host == "198.19.0.7":
			return "198.18.0.1:8080", true, nil
		case host == "empty":
			return "", false, syscall.ECONNREFUSED
		}
		return "", false, nil
	}))
	if got := hear(t, n.DialFrom("demo"), "shop:80"); got != "shop" {
		t.Errorf("by name: %q", got)
	}
	if got := hear(t, n.DialContext, "198.19.0.7:80"); got != "shop" {
		t.Errorf("by Service address: %q", got)
	}
	if _, err := n.DialFrom("other")(t.Context(), "tcp", "shop:80"); !isNotFound(err) {
		t.Errorf("unknown name: %v, want no such host", err)
	}
	if _, err := n.DialFrom("demo")(t.Context(), "tcp", "empty:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Service without endpoints: %v, want connection refused", err)
	}
}

func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}
