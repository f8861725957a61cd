package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

const (
	// maxPoints a series of a range query may have, as Prometheus has it.
	maxPoints = 11_000
	// maxNotes of each kind an answer has, likewise.
	maxNotes = 10
	// statusClientGone is for a client that did not wait for its answer.
	statusClientGone = 499
)

// api answers as Prometheus' HTTP API does.
type api struct {
	samples storage.Queryable
	engine  *promql.Engine
	targets func() map[string][]*scrape.Target
	now     func() time.Time
}

func newAPI(samples storage.Queryable, engine *promql.Engine, targets func() map[string][]*scrape.Target) *api {
	return &api{samples: samples, engine: engine, targets: targets, now: time.Now}
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	for path, serve := range map[string]func(*http.Request) (any, annotations.Annotations, error){
		"/api/v1/query":       a.query,
		"/api/v1/query_range": a.queryRange,
		"/api/v1/series":      a.series,
		"/api/v1/labels":      a.labelNames,
	} {
		mux.Handle("GET "+path, answering(serve))
		mux.Handle("POST "+path, answering(serve))
	}
	mux.Handle("GET /api/v1/label/{name}/values", answering(a.labelValues))
	mux.Handle("GET /api/v1/targets", answering(a.activeTargets))
	mux.HandleFunc("GET /-/healthy", says("Prometheus Server is Healthy.\n"))
	mux.HandleFunc("GET /-/ready", says("Prometheus Server is Ready.\n"))
	mux.HandleFunc("GET /{$}", says("The playground's Prometheus. It has no pages, only the HTTP API:\n\n"+
		"  /api/v1/query?query=up\n  /api/v1/query_range\n  /api/v1/series\n  /api/v1/labels\n  "+
		"/api/v1/label/NAME/values\n  /api/v1/targets\n"))
	return mux
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// query evaluates at one moment.
func (a *api) query(r *http.Request) (any, annotations.Annotations, error) {
	at, err := timeOf(r, "time", a.now())
	if err != nil {
		return nil, nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, err := deadlineOf(r)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	q, err := a.engine.NewInstantQuery(ctx, a.samples, nil, r.FormValue("query"), at)
	if err != nil {
		return nil, nil, invalid("query", err)
	}
	return run(ctx, q, limit)
}

// queryRange evaluates at each step of a time.
func (a *api) queryRange(r *http.Request) (any, annotations.Annotations, error) {
	from, to, step, err := rangeOf(r)
	if err != nil {
		return nil, nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, err := deadlineOf(r)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	q, err := a.engine.NewRangeQuery(ctx, a.samples, nil, r.FormValue("query"), from, to, step)
	if err != nil {
		return nil, nil, invalid("query", err)
	}
	return run(ctx, q, limit)
}

// run encodes within the query's life: its result is not to be read after Close.
func run(ctx context.Context, q promql.Query, limit int) (any, annotations.Annotations, error) {
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return nil, nil, result.Err
	}
	notes := result.Warnings
	value, cut := limited(result.Value, limit)
	if cut {
		notes.Add(errCut)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, nil, fmt.Errorf("encode result: %w", err)
	}
	return map[string]any{"resultType": result.Value.Type(), "result": json.RawMessage(encoded)}, notes, nil
}

var errCut = errors.New("results truncated due to limit")

func limited(v parser.Value, limit int) (_ parser.Value, cut bool) {
	switch v := v.(type) {
	case promql.Vector:
		if limit > 0 && len(v) > limit {
			return v[:limit], true
		}
	case promql.Matrix:
		if limit > 0 && len(v) > limit {
			return v[:limit], true
		}
	}
	return v, false
}

// series lists the series that match any of the selectors.
func (a *api) series(r *http.Request) (any, annotations.Annotations, error) {
	s, err := a.selectionOf(r)
	if err != nil {
		return nil, nil, err
	}
	if len(s.selectors) == 0 {
		return nil, nil, badData(errors.New("no match[] parameter provided"))
	}
	q, err := a.samples.Querier(s.from, s.to)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = q.Close() }()
	hints := &storage.SelectHints{Start: s.from, End: s.to, Func: "series"} // the name says that no samples are needed
	sets := make([]storage.SeriesSet, len(s.selectors))
	for i, selector := range s.selectors {
		sets[i] = q.Select(r.Context(), true, hints, selector...) // sorted, so that doubles can be dropped
	}
	set := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	found := []labels.Labels{}
	for set.Next() {
		found = append(found, set.At().Labels())
	}
	if err := set.Err(); err != nil {
		return nil, nil, err
	}
	found, notes := s.cut(found, set.Warnings())
	return found, notes, nil
}

func (s *selection) cut(found []labels.Labels, notes annotations.Annotations) ([]labels.Labels,
	annotations.Annotations,
) {
	if s.limit > 0 && len(found) > s.limit {
		return found[:s.limit], notes.Add(errCut)
	}
	return found, notes
}

// labelNames lists the names of all labels.
func (a *api) labelNames(r *http.Request) (any, annotations.Annotations, error) {
	return a.strings(r, func(q storage.Querier, selector []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(r.Context(), nil, selector...)
	})
}

// labelValues lists the values of one label.
func (a *api) labelValues(r *http.Request) (any, annotations.Annotations, error) {
	return a.strings(r, func(q storage.Querier, selector []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(r.Context(), r.PathValue("name"), nil, selector...)
	})
}

type listFunc func(q storage.Querier, selector []*labels.Matcher) ([]string, annotations.Annotations, error)

// strings asks for each selector, or once without any, and unites the answers.
func (a *api) strings(r *http.Request, list listFunc) (any, annotations.Annotations, error) {
	s, err := a.selectionOf(r)
	if err != nil {
		return nil, nil, err
	}
	q, err := a.samples.Querier(s.from, s.to)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = q.Close() }()
	selectors := s.selectors
	if len(selectors) == 0 {
		selectors = [][]*labels.Matcher{nil}
	}
	var notes annotations.Annotations
	found := []string{}
	for _, selector := range selectors {
		some, more, err := list(q, selector)
		if err != nil {
			return nil, nil, err
		}
		found, notes = append(found, some...), notes.Merge(more)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if s.limit > 0 && len(found) > s.limit {
		found, notes = found[:s.limit], notes.Add(errCut)
	}
	return found, notes, nil
}

// target is one entry of /api/v1/targets.
type target struct {
	DiscoveredLabels   labels.Labels       `json:"discoveredLabels"`
	Labels             labels.Labels       `json:"labels"`
	ScrapePool         string              `json:"scrapePool"`
	ScrapeURL          string              `json:"scrapeUrl"`
	GlobalURL          string              `json:"globalUrl"`
	LastError          string              `json:"lastError"`
	LastScrape         time.Time           `json:"lastScrape"`
	LastScrapeDuration float64             `json:"lastScrapeDuration"`
	Health             scrape.TargetHealth `json:"health"`
	ScrapeInterval     string              `json:"scrapeInterval"`
	ScrapeTimeout      string              `json:"scrapeTimeout"`
}

// activeTargets lists what is scraped and how that went the last time.
func (a *api) activeTargets(*http.Request) (any, annotations.Annotations, error) {
	active := []target{}
	builder := labels.NewBuilder(labels.EmptyLabels())
	pools := a.targets()
	for _, pool := range []string{GatewayJob, PodsJob} {
		for _, t := range pools[pool] {
			entry := target{
				DiscoveredLabels: t.DiscoveredLabels(builder), Labels: t.Labels(builder),
				ScrapePool: pool, ScrapeURL: t.URL().String(), GlobalURL: t.URL().String(),
				LastScrape: t.LastScrape(), LastScrapeDuration: t.LastScrapeDuration().Seconds(), Health: t.Health(),
				ScrapeInterval: t.GetValue(model.ScrapeIntervalLabel), ScrapeTimeout: t.GetValue(model.ScrapeTimeoutLabel),
			}
			if err := t.LastError(); err != nil {
				entry.LastError = err.Error()
			}
			active = append(active, entry)
		}
	}
	return map[string]any{"activeTargets": active, "droppedTargets": []any{}}, nil, nil
}
