package metric

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, ""},
		{0.0, "0"},
		{0.05, "0.05"},
		{1e6, "1000000"},
		{123456789.125, "123456789.125"},
		{1e-9, "1e-09"},
		{-2e20, "-2e+20"},
		{true, "true"},
		{"a<b & c", "a<b & c"},
		{"line\nother\x1b[31m\u202e", "line other [31m "},
		{"\xff\xfea", "a"},
		{[]float64{1, 2.5}, "[1,2.5]"},
		{map[string]any{"b": []any{"<x>", nil}, "a": 1.0}, `{"a":1,"b":["<x>",null]}`},
		{math.NaN(), "NaN"},
	} {
		if got := Text(c.value); got != c.want {
			t.Errorf("%v is %q, not %q", c.value, got, c.want)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	for _, unit := range []string{"a", "é", "€", "😀", "\xff", "\n"} {
		for pad := range 4 {
			for _, v := range []any{strings.Repeat("x", pad) + strings.Repeat(unit, 2000), []any{strings.Repeat(unit, 2000)}} {
				got := Text(v)
				if len(got) > MaxText || !utf8.ValidString(got) || unit != "\xff" && !strings.HasSuffix(got, "...") {
					t.Errorf("%q %d: %d bytes, ends in %q", unit, pad, len(got), got[max(0, len(got)-8):])
				}
			}
		}
	}
	if got := Bounded(strings.Repeat("a", MaxText), MaxText); got != strings.Repeat("a", MaxText) {
		t.Errorf("a text that fits is cut: %d bytes", len(got))
	}
}

func TestName(t *testing.T) {
	for want, p := range map[string]v1alpha1.MetricProvider{
		"":           {},
		"job":        {Job: &v1alpha1.JobProvider{}},
		"kubernetes": {Kubernetes: &v1alpha1.KubernetesProvider{}},
		"influxDB":   {InfluxDB: &v1alpha1.InfluxDBProvider{}},
	} {
		if got := Name(p); got != want {
			t.Errorf("name is %q, not %q", got, want)
		}
	}
}
