package meter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/metric"
)

// source answers as told.
type source struct {
	value any
	err   error
	asked []string
}

func (s *source) Measure(_ context.Context, q metric.Query) (metric.Result, error) {
	s.asked = append(s.asked, q.Provider.Prometheus.Query)
	return metric.Result{Value: s.value}, s.err
}

// TestFaultC6Learned: how often Prometheus collects is learned from what it has, within bounds, kept while it does not answer,
// and taken from the installation where that says it.
func TestFaultC6Learned(t *testing.T) {
	s := &source{value: 30.0}
	m := &Meter{Of: "ingress-nginx", Source: s, Calendar: time.Now}
	if got := m.Collection(); got != 0 {
		t.Errorf("before: %s", got)
	}
	for _, c := range []struct {
		value any
		err   error
		want  time.Duration
	}{
		{30.0, nil, 30 * time.Second},
		{0.01, nil, 2 * time.Second},
		{1e9, nil, 2 * time.Minute},
		{nil, errors.New("connection refused"), 2 * time.Minute},
		{"x", nil, 2 * time.Minute},
		{15.0, nil, 15 * time.Second},
	} {
		s.value, s.err = c.value, c.err
		if m.learn(t.Context()); m.Collection() != c.want {
			t.Errorf("%v, %v: %s, want %s", c.value, c.err, m.Collection(), c.want)
		}
	}
	m.Fixed = 45 * time.Second
	if got := m.Collection(); got != m.Fixed {
		t.Errorf("the installation's word: %s", got)
	}
	if !strings.Contains(s.asked[0], "timestamp(nginx_ingress_controller_requests)") {
		t.Error(s.asked[0])
	}
}

// TestRequests: a version that has had no request yet has no series, and that is 0; an error is one.
func TestRequests(t *testing.T) {
	s := &source{err: metric.NoData{Why: "no series"}}
	m := &Meter{Of: "ingress-nginx", Source: s, Calendar: time.Now}
	if n, err := m.Requests(t.Context(), "demo", "shop-canary"); n != 0 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	if q := s.asked[0]; !strings.Contains(q, "demo-shop-canary-") || strings.Contains(q, "{{") {
		t.Error(q)
	}
	s.err = errors.New("connection refused")
	if _, err := m.Requests(t.Context(), "demo", "shop"); err == nil {
		t.Error("no error")
	}
	if !m.Counts("ingress") || m.Counts("httpRoute") {
		t.Error("ingress-nginx counts what comes by an Ingress, and nothing else")
	}
}
