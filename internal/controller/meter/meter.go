// Package meter asks the installation's Prometheus how many requests a gateway has sent to each version, and how often
// Prometheus collects that. Nothing waits for it: the rollout controller asks beside its work, and goes on without an
// answer.
//
// Only internal/controller may import it.
package meter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/metric/builtin"
)

// Meter asks for the metrics of one kind of gateway.
type Meter struct {
	// Of is whose metrics they are, as --request-metrics names them.
	Of string
	// Source is Prometheus; Egress and Address say how it is reached.
	Source  metric.Source
	Egress  *metric.Egress
	Address string
	// Calendar is the time that Prometheus is asked for.
	Calendar func() time.Time
	// Fixed is how often Prometheus collects, if the installation says so; otherwise it is learned.
	Fixed time.Duration

	learned atomic.Int64
}

const (
	askLimit = 20 * time.Second
	// learnEvery is how often it is looked how often Prometheus collects, and learnSoon as long as that is not known.
	learnEvery, learnSoon = time.Minute, 5 * time.Second
	// least and most bound what is believed of it.
	least, most = 2 * time.Second, 2 * time.Minute
)

// Counts says whether these metrics count what comes by a traffic layer, which is named by its field in spec.traffic.
func (m *Meter) Counts(layer string) bool { return builtin.Counts(m.Of, layer) }

// Requests is how many requests the version behind a Service has had since ever: 0 before the first one.
func (m *Meter) Requests(ctx context.Context, namespace, service string) (float64, error) {
	n, err := m.ask(ctx, builtin.Requests(m.Of, namespace, service))
	if _, none := errors.AsType[metric.NoData](err); none {
		return 0, nil
	}
	return n, err
}

// Collection is how often Prometheus collects the metrics; 0 if that is not known.
func (m *Meter) Collection() time.Duration {
	if m.Fixed > 0 {
		return m.Fixed
	}
	return time.Duration(m.learned.Load())
}

// NeedLeaderElection: who may come to act is to know it already.
func (m *Meter) NeedLeaderElection() bool { return false }

// Start learns how often Prometheus collects until the context ends.
func (m *Meter) Start(ctx context.Context) error {
	if m.Fixed > 0 {
		return nil
	}
	for {
		m.learn(ctx)
		next := learnEvery
		if m.learned.Load() == 0 {
			next = learnSoon
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

func (m *Meter) learn(ctx context.Context) {
	seconds, err := m.ask(ctx, builtin.Collection(m.Of))
	if err != nil { // What was known before stays.
		ctrl.LoggerFrom(ctx).V(1).Info("it is not known how often Prometheus collects the request metrics", "error",
			err.Error())
		return
	}
	m.learned.Store(int64(min(max(time.Duration(seconds*float64(time.Second)), least), most)))
}

// ask asks the installation's Prometheus for one number. It belongs to no namespace, so no Secret is read for it.
func (m *Meter) ask(ctx context.Context, query string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	result, err := m.Source.Measure(ctx, metric.Query{
		Metric: "requests", Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Query: query}},
		Now: m.Calendar(), Egress: m.Egress, Prometheus: m.Address,
		Secret: func(string, string) (string, error) { return "", metric.ErrNoKey },
	})
	if err != nil {
		return 0, err
	}
	n, err := metric.One(result.Value)
	if err != nil {
		return 0, fmt.Errorf("ask %q: %w", query, err)
	}
	return n, nil
}
