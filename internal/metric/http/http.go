// Package http asks a web service that answers in JSON.
//
// It may import internal/metric, the API types and Kubernetes' JSONPath.
package http

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.HTTP
	u, err := metric.Endpoint("http.url", p.URL)
	if err != nil {
		return metric.Result{}, err
	}
	take, err := parsePath(p.JSONPath)
	if err != nil {
		return metric.Result{}, err
	}
	conn, err := metric.Connect(q, p.Connection)
	if err != nil {
		return metric.Result{}, err
	}
	r := metric.Request{
		Method: p.Method, URL: u, Body: []byte(p.Body),
		Header: http.Header{"Accept": {"application/json"}},
	}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if p.Body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := conn.Ask(ctx, r)
	if err != nil {
		return metric.Result{}, err
	}
	if err := answer.Err(); err != nil && !p.AcceptStatus {
		return metric.Result{}, err
	}
	v, err := value(conn, answer.Body, take)
	switch {
	case err != nil && p.AcceptStatus && (!answer.Good() || p.JSONPath == ""):
		// The status was asked for as well: a condition can look at it.
		v = metric.Absent{Why: fmt.Sprintf("the answer, of status %d, has no value", answer.Status)}
	case err != nil:
		return metric.Result{}, err
	}
	return metric.Result{Value: v, Status: answer.Status}, nil
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.HTTPProvider) error {
	if _, err := metric.Endpoint("http.url", p.URL); err != nil {
		return err
	}
	_, err := parsePath(p.JSONPath)
	return err
}

func value(conn *metric.Conn, body []byte, take path) (any, error) {
	v, err := metric.Decode(body)
	if err != nil {
		return nil, err
	}
	if v, err = take.from(conn.Scrub(v)); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, metric.NoData{Why: "the answer is null"}
	}
	return v, nil
}
