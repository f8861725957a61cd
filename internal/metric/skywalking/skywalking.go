// Package skywalking asks Apache SkyWalking (9.5 and later) by an MQE expression over GraphQL.
//
// It may import internal/metric and the API types.
package skywalking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

const defaultWindow = 5 * time.Minute

const (
	askTime = `query Time { time: getTimeInfo { timezone } }`
	askMQE  = `query Measure($expression: String!, $entity: Entity!, $duration: Duration!) {
  answer: execExpression(expression: $expression, entity: $entity, duration: $duration) { type error results { values { value } } }
}`
)

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

// server is one OAP server.
type server struct {
	conn *metric.Conn
	url  *url.URL
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.SkyWalkingProvider) error {
	_, err := metric.Endpoint("skyWalking.address", p.Address)
	return err
}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.SkyWalking
	u, err := metric.Endpoint("skyWalking.address", p.Address, "graphql")
	if err != nil {
		return metric.Result{}, err
	}
	conn, err := metric.Connect(q, p.Connection)
	if err != nil {
		return metric.Result{}, err
	}
	s := server{conn: conn, url: u}
	zone, err := s.zone(ctx)
	if err != nil {
		return metric.Result{}, err
	}
	window := defaultWindow
	if p.Window != nil && p.Window.Duration > 0 {
		window = p.Window.Duration
	}
	const minute = "2006-01-02 1504"
	var r struct {
		Answer *expressionResult `json:"answer"`
	}
	status, err := s.ask(ctx, askMQE, map[string]any{
		"expression": p.Expression,
		"entity":     map[string]any{"serviceName": p.Service, "normal": true},
		"duration": map[string]any{
			"start": q.Now.Add(-window).In(zone).Format(minute), "end": q.Now.In(zone).Format(minute), "step": "MINUTE",
		},
	}, &r)
	if err != nil {
		return metric.Result{}, err
	}
	if r.Answer == nil {
		return metric.Result{}, errShape
	}
	f, err := r.Answer.newest()
	if err != nil {
		return metric.Result{}, err
	}
	return metric.Result{Value: f, Status: status}, nil
}

// zone is the server's: it reads times as of its own, and answers with nothing at all for those of another.
func (s server) zone(ctx context.Context) (*time.Location, error) {
	var r struct {
		Time *struct {
			Timezone string `json:"timezone"`
		} `json:"time"`
	}
	if _, err := s.ask(ctx, askTime, nil, &r); err != nil {
		return nil, err
	}
	if r.Time == nil {
		return nil, errShape
	}
	t, err := time.Parse("-0700", r.Time.Timezone)
	if err != nil {
		return nil, errShape
	}
	_, offset := t.Zone()
	return time.FixedZone("", offset), nil
}

var errShape = errors.New("the answer is not that of SkyWalking's GraphQL; look at skyWalking.address")

func (s server) ask(ctx context.Context, query string, variables map[string]any, into any) (status int, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return 0, fmt.Errorf("skyWalking: encode question: %w", err)
	}
	answer, err := s.conn.Ask(ctx, metric.Request{Method: http.MethodPost, URL: s.url, Body: body, Header: http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"},
	}})
	if err != nil {
		return 0, err
	}
	if err := answer.Err(); err != nil {
		return 0, err
	}
	var r struct {
		Data   json.RawMessage   `json:"data"`
		Errors []json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(answer.Body, &r) != nil {
		return 0, errShape
	}
	if len(r.Errors) > 0 {
		return 0, errors.New("skyWalking.expression: SkyWalking could not answer; is it version 9.5 or later, and the " +
			"expression valid MQE?")
	}
	if r.Data == nil || json.Unmarshal(r.Data, into) != nil {
		return 0, errShape
	}
	return answer.Status, nil
}

type expressionResult struct {
	Type    string `json:"type"`
	Error   string `json:"error"`
	Results []struct {
		Values []struct {
			Value *string `json:"value"` // null where there was nothing to measure
		} `json:"values"` // oldest first
	} `json:"results"`
}

func (r expressionResult) newest() (float64, error) {
	switch {
	case r.Error != "":
		return 0, errors.New("skyWalking.expression: SkyWalking cannot evaluate it; try it in a dashboard")
	case r.Type == "SORTED_LIST" || r.Type == "RECORD_LIST":
		return 0, errors.New("skyWalking.expression gives a list, and a number is measured; aggregate it, as by avg()")
	case r.Type != "SINGLE_VALUE" && r.Type != "TIME_SERIES_VALUES":
		return 0, errors.New("skyWalking.expression is not understood by SkyWalking")
	case len(r.Results) > 1:
		return 0, fmt.Errorf("skyWalking.expression gives %d series, and one is measured; choose a label or "+
			"aggregate_labels()", len(r.Results))
	case len(r.Results) == 0:
		return 0, metric.NoData{Why: "skyWalking.expression gives nothing for this service"}
	}
	values := r.Results[0].Values
	for i := len(values) - 1; i >= 0; i-- {
		if v := values[i].Value; v != nil {
			return metric.Number(*v)
		}
	}
	return 0, metric.NoData{Why: "skyWalking.expression has no value in the window"}
}
