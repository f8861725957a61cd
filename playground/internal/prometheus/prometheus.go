package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

const (
	queryTimeout    = 2 * time.Minute // as Prometheus has it
	maxQuerySamples = 50_000_000      // likewise
	shutdownGrace   = time.Second
)

// Options says what to scrape and where to answer. All but Log and Ready are required.
type Options struct {
	// Listen is the address of the HTTP API; port 0 takes a free one.
	Listen string
	// Dir is for the samples. It is Prometheus' alone.
	Dir string
	// Ephemeral keeps no log ahead of the data: what is in Dir is lost at the end.
	Ephemeral bool
	// Interval is the time between two scrapes of a target.
	Interval time.Duration
	// Targets is what to scrape; it may change at any time.
	Targets *Targets
	// Network reaches the targets, and is where pods reach Prometheus.
	Network *network.Network
	// Config has the right to make the Service.
	Config *rest.Config

	Log *slog.Logger
	// Ready is called once, when queries are answered.
	Ready func(addr string)
}

// Run serves until ctx ends or a part of it fails.
func Run(ctx context.Context, o Options) (err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("open Prometheus' address %q (choose a free port, or port 0): %w", o.Listen, err)
	}
	defer listener.Close()
	inside, err := announce(ctx, o)
	if err != nil {
		return err
	}
	defer inside.Close()

	db, err := openStorage(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	scraper, err := newScraper(o, db)
	if err != nil {
		return err
	}
	server := newServer(o, newAPI(db, newEngine(o), scraper.manager.TargetsActive).handler())
	ctx, cancel := context.WithCancel(ctx)
	var scraping sync.WaitGroup
	defer scraping.Wait() // before the storage is closed
	defer cancel()
	failed := make(chan error, 3)
	scraping.Go(func() {
		if err := scraper.run(ctx); err != nil {
			failed <- err
		}
	})
	for _, l := range []net.Listener{listener, inside} {
		go func() { failed <- server.Serve(l) }()
	}
	if o.Ready != nil {
		o.Ready(listener.Addr().String())
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	return errors.Join(err, shutDown(server))
}

func newEngine(o Options) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger:     o.Log,
		MaxSamples: maxQuerySamples, Timeout: queryTimeout,
		EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return o.Interval.Milliseconds() },
	})
}

func newServer(o Options, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
}

// shutDown lets queries under way finish for a moment.
func shutDown(s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return s.Close()
	}
	return nil
}
