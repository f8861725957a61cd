// Package influxdb asks InfluxDB 2 by a Flux query.
//
// It may import internal/metric and the API types.
package influxdb

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

// question is the body of /api/v2/query. The annotations tell tables from each other, and numbers from texts.
type question struct {
	Query   string  `json:"query"`
	Type    string  `json:"type"`
	Now     string  `json:"now"`
	Dialect dialect `json:"dialect"`
}

type dialect struct {
	Header      bool     `json:"header"`
	Annotations []string `json:"annotations"`
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.InfluxDBProvider) error {
	_, err := metric.Endpoint("influxDB.address", p.Address)
	return err
}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.InfluxDB
	u, err := metric.Endpoint("influxDB.address", p.Address, "api/v2/query")
	if err != nil {
		return metric.Result{}, err
	}
	u.RawQuery = url.Values{"org": {p.Org}}.Encode()
	conn, err := metric.Connect(q, p.Connection)
	if err != nil {
		return metric.Result{}, err
	}
	if p.Token != nil {
		if err := conn.Token("influxDB.token", *p.Token, "Authorization", "Token "); err != nil {
			return metric.Result{}, err
		}
	}
	body, err := json.Marshal(question{
		Query: p.Query, Type: "flux", Now: q.Now.UTC().Format(time.RFC3339Nano),
		Dialect: dialect{Header: true, Annotations: []string{"datatype", "default"}},
	})
	if err != nil {
		return metric.Result{}, fmt.Errorf("influxDB.query: encode: %w", err)
	}
	answer, err := conn.Ask(ctx, metric.Request{Method: http.MethodPost, URL: u, Body: body, Header: http.Header{
		"Accept": {"application/csv"}, "Content-Type": {"application/json"},
	}})
	if err != nil {
		return metric.Result{}, err
	}
	if err := answer.Err(); err != nil {
		if answer.Status == http.StatusBadRequest {
			err = fmt.Errorf("%w; influxDB.query may not be valid Flux", err)
		}
		return metric.Result{}, err
	}
	v, err := read(answer.Body)
	if err != nil {
		return metric.Result{}, err
	}
	return metric.Result{Value: conn.Scrub(v), Status: answer.Status}, nil
}
