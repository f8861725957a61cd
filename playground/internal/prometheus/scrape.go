package prometheus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	httpconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
)

// targetDelay bounds how long a target that comes or goes may wait for others, so that a
// hundred pods that start together are one change.
const targetDelay = 200 * time.Millisecond

// configuration is Prometheus' own, for an interval.
const configuration = `
global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
scrape_configs:
- job_name: ` + GatewayJob + `
- job_name: ` + PodsJob + `
`

// scraper asks the targets for their metrics.
type scraper struct {
	manager *scrape.Manager
	config  *config.Config
	targets *Targets
}

func newScraper(o Options, db storage.Appendable) (*scraper, error) {
	c, err := config.Load(fmt.Sprintf(configuration, model.Duration(o.Interval)), o.Log)
	if err != nil {
		return nil, fmt.Errorf("configure scraping every %s: %w", o.Interval, err)
	}
	m, err := scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval: model.Duration(targetDelay),
		HTTPClientOptions:       []httpconfig.HTTPClientOption{httpconfig.WithDialContextFunc(o.Network.DialContext)},
	}, o.Log, nil, db, nil, prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("make scraper: %w", err)
	}
	return &scraper{manager: m, config: c, targets: o.Targets}, nil
}

// run scrapes the targets of each moment until ctx ends.
func (s *scraper) run(ctx context.Context) error {
	// It asks for the host's full name, which takes seconds where names are looked up in
	// vain. Nobody waits for it here.
	if err := s.manager.ApplyConfig(s.config); err != nil {
		return fmt.Errorf("configure scraper: %w", err)
	}
	groups := make(chan map[string][]*targetgroup.Group)
	var failure error // valid when ended is closed
	ended := make(chan struct{})
	go func() { failure = s.manager.Run(groups); close(ended) }()
	defer func() { s.manager.Stop(); <-ended }()
	for {
		select {
		case <-s.targets.changed:
		case <-ctx.Done():
			return nil
		}
		select {
		case groups <- s.targets.groups():
		case <-ended:
			return errors.Join(errors.New("the scraper ended by itself"), failure)
		case <-ctx.Done():
			return nil
		}
	}
}
