package analysis

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// outcome is one measurement that has come in.
type outcome struct {
	metric string
	// at is when it was asked for.
	at          time.Time
	measurement v1alpha1.Measurement
	// noData: the source has answered, and had nothing to say.
	noData bool
	// read are the counters of a comparison, which are weighed when they are written down; nil for other metrics.
	read *reading
}

// flights are the measurements under way: no worker waits for one, so that a slow source delays its own run alone. They
// are lost with the process, and then asked for anew.
type flights struct {
	mu   sync.Mutex
	runs map[types.NamespacedName]*flight
	// all and hosts bound how many are under way, in all and of one source.
	all   chan struct{}
	hosts map[string]*host
}

// host is a source of which something is being asked, or is to be.
type host struct {
	gate    chan struct{}
	waiting int
}

// flight is what is under way for one run.
type flight struct {
	uid     types.UID
	ctx     context.Context //nolint:containedctx // it ends what was begun, when the run does
	end     context.CancelFunc
	asked   map[string]bool
	arrived map[string]outcome
}

const (
	// inAll and ofOne bound the measurements under way, in all and of one source; askLimit bounds the time of one.
	inAll    = 256
	ofOne    = 16
	askLimit = 2 * time.Minute
)

func newFlights() *flights {
	return &flights{runs: map[types.NamespacedName]*flight{}, all: make(chan struct{}, inAll), hosts: map[string]*host{}}
}

// key names a run. Its UID is in the flight, since a run may be made anew under its name.
func key(run *v1alpha1.AnalysisRun) types.NamespacedName {
	return types.NamespacedName{Namespace: run.Namespace, Name: run.Name}
}

// of is the flight of a run; one of a former run of its name is ended.
func (f *flights) of(run *v1alpha1.AnalysisRun) *flight {
	if got := f.runs[key(run)]; got != nil {
		if got.uid == run.UID {
			return got
		}
		got.end()
	}
	ctx, end := context.WithCancel(context.Background())
	made := &flight{uid: run.UID, ctx: ctx, end: end, asked: map[string]bool{}, arrived: map[string]outcome{}}
	f.runs[key(run)] = made
	return made
}

// start asks, unless that is under way. Then is called when the measurement has come in.
func (f *flights) start(run *v1alpha1.AnalysisRun, metric, source string, ask func(context.Context) outcome,
	then func(),
) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.of(run)
	if fl.asked[metric] {
		return
	}
	fl.asked[metric] = true
	h := f.hosts[source]
	if h == nil {
		h = &host{gate: make(chan struct{}, ofOne)}
		f.hosts[source] = h
	}
	h.waiting++
	go func() {
		came := f.fly(fl, h, metric, ask)
		f.leave(source, h)
		if came {
			then()
		}
	}()
}

// fly asks when it is its turn, and keeps what comes in. It says whether anything has for a run that goes on.
func (f *flights) fly(fl *flight, h *host, metric string, ask func(context.Context) outcome) bool {
	// The source's gate comes first: whoever waits for a slow source takes no place from measurements of other sources.
	for _, gate := range []chan struct{}{h.gate, f.all} {
		if !enter(fl.ctx, gate) {
			return false
		}
		defer func() { <-gate }()
	}
	ctx, cancel := context.WithTimeout(fl.ctx, askLimit)
	defer cancel()
	o := ask(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	// The run has ended meanwhile, or is another one of that name.
	if fl.ctx.Err() != nil {
		return false
	}
	fl.arrived[metric] = o
	return true
}

// leave forgets a source of which nothing is asked any more.
func (f *flights) leave(source string, h *host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.waiting--; h.waiting == 0 {
		delete(f.hosts, source)
	}
}

// enter waits for a place, or for the end of the run; then it returns false.
func enter(ctx context.Context, gate chan struct{}) bool {
	select {
	case gate <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// landed are the measurements of a run that have come in and are not known to be written.
func (f *flights) landed(run *v1alpha1.AnalysisRun) []outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.of(run)
	var out []outcome
	for i := range run.Spec.Metrics {
		if o, ok := fl.arrived[run.Spec.Metrics[i].Name]; ok {
			out = append(out, o)
		}
	}
	return out
}

// written lets go of what stands in the status now. Until then a metric counts as asked: should the write fail, the
// next look writes the same measurement, and none is made twice.
func (f *flights) written(run *v1alpha1.AnalysisRun, list []outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.of(run)
	for _, o := range list {
		delete(fl.arrived, o.metric)
		delete(fl.asked, o.metric)
	}
}

// cancel ends whatever is under way for a run.
func (f *flights) cancel(k types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.runs[k]; fl != nil {
		fl.end()
		delete(f.runs, k)
	}
}
