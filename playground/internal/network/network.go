package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Addresses of the playground. Both ranges belong to 198.18.0.0/15, which RFC 2544
// sets aside for tests: no real host is hidden by them.
var (
	PodRange     = netip.MustParsePrefix("198.18.0.0/16")
	ServiceRange = netip.MustParsePrefix("198.19.0.0/16")
)

// ErrExhausted says that every pod address is in use.
var ErrExhausted = errors.New("no pod address is free: " + PodRange.String() + " is used up; delete pods")

// Resolver finds what a name or a Service's address stands for, as seen by a pod of
// the namespace. It answers with an address that can be dialled: of a pod
// (198.18.x.y:port) or a real one. ok is false when it does not know the host.
type Resolver interface {
	Resolve(ctx context.Context, namespace, host string, port int) (addr string, ok bool, err error)
}

// Network is one playground's pods, as addresses. It is safe for concurrent use.
type Network struct {
	dialer net.Dialer
	listen func(ctx context.Context, addr string) (net.Listener, error)

	mu        sync.RWMutex
	listeners map[netip.AddrPort]string // pod address -> where it really listens
	used      map[netip.Addr]bool
	last      netip.Addr
	resolver  Resolver
}

// New returns a network without pods.
func New() *Network {
	config := net.ListenConfig{}
	return &Network{
		dialer:    net.Dialer{Timeout: 10 * time.Second},
		listeners: map[netip.AddrPort]string{},
		used:      map[netip.Addr]bool{},
		last:      someStart(),
		listen: func(ctx context.Context, addr string) (net.Listener, error) {
			return config.Listen(ctx, "tcp4", addr)
		},
	}
}

// someStart chooses where addresses begin, so that playgrounds side by side seldom
// want the same loopback address.
func someStart() netip.Addr {
	b := PodRange.Addr().As4()
	b[2] = byte(rand.IntN(256))
	return netip.AddrFrom4(b)
}

// SetResolver says who resolves Service addresses and names; without one, only pod
// addresses are translated.
func (n *Network) SetResolver(r Resolver) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resolver = r
}

// Allocate returns a pod address that is not in use. Addresses go round, so that one
// just given back is not handed to another pod while somebody may still call it.
func (n *Network) Allocate() (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range 1 << (32 - PodRange.Bits()) {
		n.last = n.last.Next()
		if !PodRange.Contains(n.last) {
			n.last = PodRange.Addr().Next()
		}
		if last := n.last.As4()[3]; last == 0 || last == 255 || n.used[n.last] {
			continue
		}
		n.used[n.last] = true
		return n.last.String(), nil
	}
	return "", ErrExhausted
}

// Release gives a pod's address back.
func (n *Network) Release(podIP string) {
	ip, err := netip.ParseAddr(podIP)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, ip)
}

// Listen opens a port of a pod. A port that the pod has already open is refused as
// an operating system would.
func (n *Network) Listen(ctx context.Context, podIP string, port int) (net.Listener, error) {
	at, err := podAddress(podIP, port)
	if err != nil {
		return nil, err
	}
	if err := n.reserve(at); err != nil {
		return nil, err
	}
	l, err := n.open(ctx, at)
	if err != nil {
		n.forget(at)
		return nil, err
	}
	n.mu.Lock()
	n.listeners[at] = l.Addr().String()
	n.mu.Unlock()
	return &listener{Listener: l, close: sync.OnceFunc(func() { n.forget(at) })}, nil
}

// DialContext opens a connection. A pod's address is translated, and refused where
// nothing listens; a Service's address goes to one of its endpoints if a resolver is
// set; everything else is dialled as it is.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := split(addr)
	if err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && ServiceRange.Contains(ip) {
		return n.resolveAndDial(ctx, "", network, host, port)
	}
	return n.dialTranslated(ctx, network, addr)
}

// DialFrom returns a dial function as a pod of the namespace has it: names are names
// of the cluster, and nothing outside the playground is reached by one.
func (n *Network) DialFrom(namespace string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := split(addr)
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
			return n.DialContext(ctx, network, addr)
		}
		return n.resolveAndDial(ctx, namespace, network, host, port)
	}
}

func (n *Network) resolveAndDial(ctx context.Context, namespace, network, host string, port int) (net.Conn, error) {
	n.mu.RLock()
	r := n.resolver
	n.mu.RUnlock()
	if r == nil {
		return nil, &net.DNSError{
			Err: "no such host (the playground's network has no resolver)", Name: host,
			IsNotFound: true,
		}
	}
	addr, ok, err := r.Resolve(ctx, namespace, host, port)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return n.dialTranslated(ctx, network, addr)
}

func (n *Network) dialTranslated(ctx context.Context, network, addr string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !PodRange.Contains(at.Addr()) {
		return n.dialer.DialContext(ctx, network, addr)
	}
	n.mu.RLock()
	actual := n.listeners[at]
	n.mu.RUnlock()
	if actual == "" {
		return nil, refused(network, at)
	}
	return n.dialer.DialContext(ctx, network, actual)
}

func (n *Network) reserve(at netip.AddrPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, taken := n.listeners[at]; taken {
		return &net.OpError{
			Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(at),
			Err: os.NewSyscallError("bind", syscall.EADDRINUSE),
		}
	}
	n.listeners[at] = ""
	return nil
}

func (n *Network) forget(at netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, at)
}

// open listens on the like loopback address, or on any free port where the system
// has no such address, forbids the port, or another playground holds it.
func (n *Network) open(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	if l, err := n.listen(ctx, loopback(at).String()); err == nil {
		return l, nil
	}
	l, err := n.listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for pod %s: %w", at, err)
	}
	return l, nil
}

// listener takes its pod address out of the table before it closes, so that a dial
// finds either a listener or a refusal, never another's port.
type listener struct {
	net.Listener
	close func()
}

func (l *listener) Close() error {
	l.close()
	return l.Listener.Close()
}

func podAddress(podIP string, port int) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(podIP)
	if err != nil || !PodRange.Contains(ip) {
		return netip.AddrPort{}, fmt.Errorf("pod address %q is not within %s", podIP, PodRange)
	}
	if port < 1 || port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("port %d is not within 1..65535", port)
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

func loopback(at netip.AddrPort) netip.AddrPort {
	b := at.Addr().As4()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 18, b[2], b[3]}), at.Port())
}

func refused(network string, at netip.AddrPort) error {
	return &net.OpError{
		Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at),
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}

func split(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return "", 0, &net.AddrError{Err: "port is not a number", Addr: addr}
	}
	return host, port, nil
}
