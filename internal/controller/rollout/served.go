package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/metric/builtin"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file asks the gateway's metrics whether the share of requests that a step is to have reaches the new version. It
// is done beside the reconciles: no worker waits for an answer, and without one a release goes on after a while.

// RequestMeter counts the requests that a gateway sends.
type RequestMeter interface {
	// Counts says whether it counts what comes by a traffic layer, which is named by its field in spec.traffic.
	Counts(layer string) bool
	// Requests is how many requests the version behind a Service has had since ever.
	Requests(ctx context.Context, namespace, service string) (float64, error)
	// Collection is how often the counts are brought up to date; 0 if that is not known.
	Collection() time.Duration
}

// requests are the request metrics that a builtin asks for.
func (r *Reconciler) requests() measure.Requests {
	out := measure.Requests{Of: r.RequestMetrics}
	if r.Meter != nil {
		out.Collection = r.Meter.Collection()
	}
	return out
}

// metered says whether the share of requests can be counted: by a gateway that counts what comes by all the layers, and
// where each request is divided anew. A session that stays where it is is no request that could go elsewhere.
func (r *Reconciler) metered(w *world, rel *v1alpha1.Release) bool {
	if r.Meter == nil || len(w.layers) == 0 || cmp.Or(rel.Spec.CanarySuffix, naming.PlainSuffix) != naming.PlainSuffix {
		return false
	}
	return !slices.ContainsFunc(rel.Spec.Plan.Traffic, func(t v1alpha1.TrafficLayer) bool {
		l := translate.LayerOf(t)
		return l.Confirm == v1alpha1.ConfirmBySettle || !r.Meter.Counts(l.Field)
	})
}

// observeServed shows the core what the metrics say.
func (r *Reconciler) observeServed(w *world, rel *v1alpha1.Release, o *release.Observed) {
	o.Metered = r.metered(w, rel)
	if o.Metered {
		o.Served = r.shares.of(rel.UID)
	}
}

// askServed has asked what the core wants to know.
func (r *Reconciler) askServed(w *world, rel *v1alpha1.Release, out release.Outcome) {
	if out.Ask == nil || r.Meter == nil {
		r.shares.forget(rel.UID)
		return
	}
	pairs := make([][2]string, 0, len(w.services))
	for _, s := range w.services {
		if s.routed {
			pairs = append(pairs, [2]string{s.object.Name, w.twinName(s.object.Name)})
		}
	}
	key := types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Name}
	count := func(ctx context.Context) (seen analysis.Served, err error) {
		for _, p := range pairs {
			stable, err := r.Meter.Requests(ctx, key.Namespace, p[0])
			if err != nil {
				return seen, err
			}
			canary, err := r.Meter.Requests(ctx, key.Namespace, p[1])
			if err != nil {
				return seen, err
			}
			seen.Canary += canary
			seen.Total += stable + canary
		}
		return seen, nil
	}
	r.shares.ask(rel.UID, *out.Ask, r.Meter.Collection(), count, r.Now, func() { r.wakeUp(key) })
}

// counter reads how many requests there have been since ever.
type counter func(context.Context) (analysis.Served, error)

// shares are the questions under way, one for each release. They are lost with the process, and then asked anew.
type shares struct {
	mu   sync.Mutex
	seen map[types.UID]*watching
	// pace bounds the time between two looks from below.
	pace time.Duration
}

type watching struct {
	served release.Served
	end    context.CancelFunc
}

func newShares() *shares { return &shares{seen: map[types.UID]*watching{}, pace: time.Second} }

// of is what is known of a release's question.
func (s *shares) of(id types.UID) release.Served {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.seen[id]; w != nil {
		return w.served
	}
	return release.Served{}
}

// ask begins to count, unless that question is asked already. Tell is called when there is a word.
func (s *shares) ask(id types.UID, q release.ShareQuestion, collection time.Duration, count counter,
	now func() time.Time, tell func(),
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.seen[id]; w != nil {
		if w.served.Of == q {
			return
		}
		w.end()
	}
	if collection <= 0 {
		collection = builtin.DefaultCollection
	}
	ctx, end := context.WithCancel(context.Background())
	until := now().Add(patience(collection))
	s.seen[id] = &watching{served: release.Served{Of: q, Until: until}, end: end}
	c := &counting{
		share: analysis.Share{Due: q.Weight, Before: q.Before, AtLeast: q.AtLeast}, count: count,
		until: until, now: now, every: max(collection/2, s.pace),
	}
	go c.run(ctx, func(v release.ServedVerdict, message string) {
		if s.say(ctx, id, v, message) {
			tell()
		}
	})
	// In a goroutine of its own: tell waits until the controller listens, and the lock is held here.
	go tell() // The core is to know until when.
}

// patience is how long a word is waited for: the counts have to be collected twice, and some more requests to come.
func patience(collection time.Duration) time.Duration { return 2*collection + 10*time.Second }

// say keeps a word, unless nobody asks any more.
func (s *shares) say(ctx context.Context, id types.UID, v release.ServedVerdict, message string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.seen[id]
	if ctx.Err() != nil || w == nil || w.served.Verdict == v && w.served.Message == message {
		return false
	}
	w.served.Verdict, w.served.Message = v, message
	return true
}

// forget ends a question.
func (s *shares) forget(id types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.seen[id]; w != nil {
		w.end()
		delete(s.seen, id)
	}
}

// counting is one question being answered.
type counting struct {
	share analysis.Share
	count counter
	until time.Time
	now   func() time.Time
	every time.Duration

	from    analysis.Served
	counted bool
	differs bool
	failed  error
}

// run counts until there is a good word, or none is waited for any more. What has been seen to differ is watched until
// it does not.
func (c *counting) run(ctx context.Context, say func(release.ServedVerdict, string)) {
	for {
		verdict, message := c.look(ctx)
		if verdict != release.ServedCounting {
			say(verdict, message)
		}
		if verdict == release.ServedAsDue || verdict == release.ServedUnknown {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.every):
		}
	}
}

// look counts once.
func (c *counting) look(ctx context.Context) (release.ServedVerdict, string) {
	read, err := c.count(ctx)
	c.failed = err
	since := analysis.Served{Canary: read.Canary - c.from.Canary, Total: read.Total - c.from.Total}
	switch {
	case err != nil:
		return c.unsure("the requests cannot be counted: " + err.Error())
	case !c.counted || since.Canary < 0 || since.Total < since.Canary: // It begins, or a gateway began anew.
		c.from, c.counted = read, true
		return c.unsure("no requests have been counted yet")
	}
	switch c.share.Judge(since) {
	case analysis.ShareServed:
		return release.ServedAsDue, c.share.Sentence(since)
	case analysis.ShareDiffers:
		// What comes from now on is judged by itself: the gateway may follow at last.
		c.from, c.differs = read, true
		return release.ServedOtherwise, c.share.Sentence(since)
	case analysis.ShareUnknown:
	}
	return c.unsure(fmt.Sprintf("%.0f requests are too few to tell", since.Total))
}

// unsure gives up after a while, but not where the share has been seen to differ.
func (c *counting) unsure(message string) (release.ServedVerdict, string) {
	if c.differs || c.now().Before(c.until) {
		return release.ServedCounting, ""
	}
	return release.ServedUnknown, message
}
