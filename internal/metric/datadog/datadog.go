// Package datadog asks Datadog's metrics query API (v1).
//
// It may import internal/metric and the API types.
package datadog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

const (
	defaultSite   = "datadoghq.com"
	defaultWindow = 5 * time.Minute
)

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.Datadog
	u, err := endpoint(p, q.Now)
	if err != nil {
		return metric.Result{}, err
	}
	conn, err := metric.Connect(q, nil)
	if err != nil {
		return metric.Result{}, err
	}
	for _, k := range []struct{ key, header string }{{"api-key", "DD-API-KEY"}, {"app-key", "DD-APPLICATION-KEY"}} {
		ref := v1alpha1.SecretKeyReference{Name: p.Secret.Name, Key: k.key}
		if err := conn.Token("datadog.secret", ref, k.header, ""); err != nil {
			return metric.Result{}, err
		}
	}
	answer, err := conn.Ask(ctx, metric.Request{
		Method: http.MethodGet, URL: u,
		Header: http.Header{"Accept": {"application/json"}},
	})
	if err != nil {
		return metric.Result{}, err
	}
	if err := answer.Err(); err != nil {
		return metric.Result{}, err
	}
	f, err := read(answer.Body)
	if err != nil {
		return metric.Result{}, err
	}
	return metric.Result{Value: f, Status: answer.Status}, nil
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.DatadogProvider) error {
	_, err := endpoint(p, time.Time{})
	return err
}

func endpoint(p *v1alpha1.DatadogProvider, now time.Time) (*url.URL, error) {
	address, field := p.Address, "datadog.address"
	if address == "" {
		site := p.Site
		if site == "" {
			site = defaultSite
		}
		address, field = "https://api."+site, "datadog.site"
		if u, err := url.Parse(address); err != nil || u.Host != "api."+site {
			return nil, errors.New("datadog.site: is no name of a site, as datadoghq.eu")
		}
	}
	u, err := metric.Endpoint(field, address, "api/v1/query")
	if err != nil {
		return nil, err
	}
	window := defaultWindow
	if p.Window != nil && p.Window.Duration > 0 {
		window = p.Window.Duration
	}
	u.RawQuery = url.Values{
		"query": {p.Query},
		"from":  {strconv.FormatInt(now.Add(-window).Unix(), 10)},
		"to":    {strconv.FormatInt(now.Unix(), 10)},
	}.Encode()
	return u, nil
}

type response struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Series []struct {
		// Points are a time in milliseconds and a value, oldest first. The value is null where nothing was reported.
		Points [][2]*float64 `json:"pointlist"`
	} `json:"series"`
}

func read(body []byte) (float64, error) {
	var r response
	if json.Unmarshal(body, &r) != nil || r.Status == "" {
		return 0, errors.New("the answer is not that of Datadog's query API")
	}
	switch {
	case r.Status != "ok" || r.Error != "":
		return 0, errors.New("datadog.query: Datadog could not answer; try it in its metrics explorer")
	case len(r.Series) == 0:
		return 0, metric.NoData{Why: "datadog.query finds no series in the window"}
	case len(r.Series) > 1:
		return 0, fmt.Errorf("datadog.query finds %d series, and one is measured; add an aggregation to it, as "+
			"sum:METRIC{*}", len(r.Series))
	}
	points := r.Series[0].Points
	for i := len(points) - 1; i >= 0; i-- {
		if v := points[i][1]; v != nil {
			return metric.Finite(*v)
		}
	}
	return 0, metric.NoData{Why: "the series of datadog.query has no value in the window"}
}
