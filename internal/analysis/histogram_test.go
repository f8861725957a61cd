package analysis

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistogramSince(t *testing.T) {
	before, err := NewHistogram(map[string]float64{"0.50": 10, "1.0": 20, "+Inf": 21})
	if err != nil {
		t.Fatal(err)
	}
	now, err := NewHistogram(map[string]float64{"0.1": 4, "0.5": 14, "1": 25, "+Inf": 27})
	if err != nil {
		t.Fatal(err)
	}
	got, err := now.Since(before)
	if want := []Bucket{{math.Inf(1), 6}, {0.5, 4}, {1, 5}}; err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := before.Since(now); err == nil || !strings.Contains(err.Error(), `has no bucket le="0.1" any more`) {
		t.Errorf("a bucket that is gone: %v", err)
	}
	if _, err := (Histogram{"soon": 2}).Since(Histogram{"soon": 1}); err == nil {
		t.Error("a bound that is no number was remembered, and is compared")
	}
}

func TestHistogramNonsense(t *testing.T) {
	for want, byLE := range map[string]map[string]float64{
		"is no number":           {"soon": 1},
		"no number":              {"NaN": 1},
		`two buckets le="1"`:     {"1": 1, "1.0": 1},
		`two buckets le="+Inf"`:  {"+Inf": 1, "Inf": 1},
		`two buckets le="1e+06"`: {"1000000": 1, "1e6": 1},
	} {
		if _, err := NewHistogram(byLE); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", byLE, err, want)
		}
	}
}

// TestNeeded: what is remembered of a reading is small once there is a threshold.
func TestNeeded(t *testing.T) {
	all := Histogram{"0.1": 1, "0.5": 2, "+Inf": 3}
	if got := (QuantileState{}).Needed(all); !cmp.Equal(all, got) {
		t.Errorf("while learning %v is needed", got)
	}
	if got := (QuantileState{Threshold: "0.5"}).Needed(all); !cmp.Equal(Histogram{"0.5": 2, "+Inf": 3}, got) {
		t.Errorf("then %v is needed", got)
	}
	if got := (QuantileState{Threshold: "0.7"}).Needed(all); !cmp.Equal(Histogram{"+Inf": 3}, got) {
		t.Errorf("of other buckets %v is needed", got)
	}
}

// TestUnit: what is compared is told with its unit.
func TestUnit(t *testing.T) {
	c := slow
	c.Unit = "s"
	stable := histogram(6000, 3000, 600, 300, 100)
	s, j := QuantileState{}.Look(c, QuantileSample{stable, stable})
	if !strings.Contains(j.Message(), "requests slower than 0.5 s are compared") {
		t.Error(j.Message())
	}
	_, j = s.Look(c, QuantileSample{histogram(0, 0, 0, 0, 1000), stable})
	if !strings.HasPrefix(j.Message(), "canary 100% slower than 0.5 s (1000 of 1000), stable 4% (400 of 10000): worse by more than 2 points") {
		t.Error(j.Message())
	}
}
