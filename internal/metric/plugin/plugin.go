// Package plugin asks a service that whoever runs the cluster wrote: it is posted {"metric", "config", "context"}, and
// answers {"result": ...} or {"error": "..."}.
//
// It may import internal/metric and the API types.
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

// question is what is posted. All three are always there, so that a plugin need not look for them.
type question struct {
	Metric  string                          `json:"metric"`
	Config  map[string]v1alpha1.ConfigValue `json:"config"`
	Context map[string]string               `json:"context"`
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.PluginProvider) error {
	_, err := metric.Endpoint("plugin.url", p.URL)
	return err
}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.Plugin
	u, err := metric.Endpoint("plugin.url", p.URL)
	if err != nil {
		return metric.Result{}, err
	}
	conn, err := metric.Connect(q, p.Connection)
	if err != nil {
		return metric.Result{}, err
	}
	ask := question{Metric: q.Metric, Config: p.Config, Context: q.Context}
	if ask.Config == nil {
		ask.Config = map[string]v1alpha1.ConfigValue{}
	}
	if ask.Context == nil {
		ask.Context = map[string]string{}
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return metric.Result{}, fmt.Errorf("plugin.config: encode: %w", err)
	}
	answer, err := conn.Ask(ctx, metric.Request{Method: http.MethodPost, URL: u, Body: body, Header: http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"},
	}})
	if err != nil {
		return metric.Result{}, err
	}
	if err := answer.Err(); err != nil {
		return metric.Result{}, err
	}
	v, err := read(conn, answer.Body)
	if err != nil {
		return metric.Result{}, err
	}
	return metric.Result{Value: conn.Scrub(v), Status: answer.Status}, nil
}

func read(conn *metric.Conn, body []byte) (any, error) {
	v, err := metric.Decode(body)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New(`the answer is not {"result": ...} or {"error": "..."}`)
	}
	if e := m["error"]; e != nil && e != "" {
		text, ok := e.(string)
		if !ok {
			text = "an error that is no text"
		}
		return nil, fmt.Errorf("the plugin says: %s", conn.Said(text)) // its words are for people, by the protocol
	}
	if m["result"] == nil {
		return nil, metric.NoData{Why: "the plugin gave no result"}
	}
	return m["result"], nil
}
