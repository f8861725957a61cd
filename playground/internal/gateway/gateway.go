// Package gateway is the playground's door: one HTTP proxy that serves Ingress
// objects with ingress-nginx's canary annotations and Gateway API HTTPRoutes.
//
// The way of a change: watch.go sees it, package route translates the whole
// world into an immutable table, the table is swapped in one atomic store, and
// status.go and problem.go tell the API server. The way of a request: serve.go
// asks the table for a choice, transport.go asks a pod and, when that pod has
// just gone, another one.
//
// Why net/http/httputil and not skipper's proxy: skipper polls its route sources
// instead of being pushed to; it retries one time and only on dial errors; its
// dialer cannot be replaced (pods of the playground have addresses that only the
// playground can dial), so its load balancing would have had to be bypassed; the
// rules of ingress-nginx about which backend an empty canary or an empty main
// falls back to do not fit its predicates; and its proxy package alone links 46
// modules. ReverseProxy carries what is hard (hop-by-hop headers, upgrades,
// streaming, trailers), and the rest is the subject of this package.
//
// What differs from the real things: all hosts are served in plain HTTP on one
// address, whatever `tls` sections, listener ports and ssl-redirect say; a canary
// applies to exactly the host and path of its own Ingress, as ingress-nginx
// documents, while its implementation attaches it to the main Service and port
// and so to other hosts and paths of that Service as well; session affinity keeps
// a session with a Service, and not with one pod of it.
//
// By itself it follows a change within some ten milliseconds and says so when it
// has. Habits have it behave like the real ones: late, in batches, and with
// reports that come before the deed.
//
// Only cmd/sluice-playground may import it.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// Options says where to listen and what to serve. Config is required.
type Options struct {
	Config *rest.Config
	// Listen is the address for requests, AdminListen the one for /metrics,
	// /debug/routes and /healthz. Port 0 takes a free one. An empty
	// AdminListen serves none of these.
	Listen, AdminListen string
	// Dial reaches pod addresses; nil dials them as they are.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// IngressClass is the class to serve, "nginx" when empty.
	IngressClass string
	// ControllerName is the controllerName of the GatewayClasses to serve,
	// "sluice.dev/playground" when empty.
	ControllerName string
	Habits         Habits
	Log            *slog.Logger
	// Ready is called once, when the first table is in force.
	Ready func(addr, adminAddr string)
}

// Habits are those of real gateways in following what is written. The zero value
// follows at once.
type Habits struct {
	// SyncEvery is the least time from one reading of the world to the next, as
	// of ingress-nginx (--sync-rate-limit, 3.3 s) and Traefik
	// (providersThrottleDuration, 2 s).
	SyncEvery time.Duration
	// Delay is the time from a reading until requests go by it: a reload, and
	// workers that look once a second.
	Delay time.Duration
	// EarlyAccepted has HTTPRoutes reported as accepted when they are seen, as
	// Traefik does, and not when they are in force.
	EarlyAccepted bool
}

const (
	defaultIngressClass   = "nginx"
	defaultControllerName = "sluice.dev/playground"
	userAgent             = "sluice-playground-gateway"
	shutdownGrace         = 3 * time.Second
)

// Run serves until ctx ends or a listener dies.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	listener, err := listen("Listen", o.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	m := newMetrics()
	p := newProxy(o.Dial, rand.IntN, m, o.Log)
	c, err := newClients(o.Config)
	if err != nil {
		return err
	}
	w, err := newWatcher(o, c, p, m, listener.Addr())
	if err != nil {
		return err
	}
	admin, err := serveAdmin(o, p, m)
	if err != nil {
		return err
	}
	defer admin.Close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	go func() { failed <- w.run(ctx) }()
	select {
	case <-w.ready: // requests wait in the listener's queue until the first table stands
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
	server := newServer(p, o.Log)
	go func() { failed <- server.Serve(listener) }()
	if o.Ready != nil {
		o.Ready(listener.Addr().String(), admin.Addr)
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = nil
	}
	return errors.Join(err, shutDown(server))
}

func (o Options) withDefaults() Options {
	if o.IngressClass == "" {
		o.IngressClass = defaultIngressClass
	}
	if o.ControllerName == "" {
		o.ControllerName = defaultControllerName
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	return o
}

func listen(option, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open the gateway's %s address %q (choose a free port, or port 0): %w", option, addr, err)
	}
	return l, nil
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            10 * time.Second,
		IdleTimeout:                  75 * time.Second,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// shutDown lets requests under way finish for a moment.
func shutDown(s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return s.Close()
	}
	return nil
}
