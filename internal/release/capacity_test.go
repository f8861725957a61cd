package release

import (
	"testing"

	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	for _, tt := range []struct{ weight, replicas, want int }{
		{0, 10, 0},
		{1, 10, 1},
		{10, 10, 1},
		{11, 10, 2},
		{20, 4, 1},
		{50, 5, 3},
		{99, 100, 99},
		{100, 7, 7},
		{50, 0, 0},
		{100, 1 << 30, 1 << 30},
	} {
		if got := share(tt.weight, tt.replicas); got != tt.want {
			t.Errorf("share(%d%%, %d) = %d, want %d", tt.weight, tt.replicas, got, tt.want)
		}
	}
}

func TestStepPods(t *testing.T) {
	for _, tt := range []struct {
		step     Step
		replicas int
		split    bool
		want     int
	}{
		{Step{Weight: 0}, 10, false, 1},
		{Step{Weight: 0, Replicas: 3}, 10, false, 3},
		{Step{Weight: 20}, 10, false, 2},
		{Step{Weight: 21}, 10, false, 3},
		{Step{Weight: 50, Replicas: 2}, 10, false, 5},
		{Step{Weight: 100}, 10, false, 10},
		{Step{Weight: 10}, 10, true, 1},
		{Step{Weight: 20}, 10, true, 3}, // 2.5
		{Step{Weight: 50}, 10, true, 10},
		{Step{Weight: 75}, 4, true, 12},
		{Step{Weight: 99}, 2, true, 198},
		{Step{Weight: 100}, 10, true, 10},
		{Step{Weight: 1}, 1, true, 1},
	} {
		if got := stepPods(tt.step, tt.replicas, tt.split); got != tt.want {
			t.Errorf("stepPods(%+v, %d, split %v) = %d, want %d", tt.step, tt.replicas, tt.split, got, tt.want)
		}
	}
}

// TestCarried: what so many pods carry needs no more than them, and one percent more would.
func TestCarried(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := rapid.IntRange(1, 10000).Draw(t, "replicas")
		ready := rapid.IntRange(0, replicas-1).Draw(t, "ready")
		w := carried(ready, replicas)
		if share(w, replicas) > ready || share(w+1, replicas) <= ready {
			t.Fatalf("%d of %d carry %d%%", ready, replicas, w)
		}
	})
	if carried(0, 0) != 100 || carried(3, 2) != 100 || carried(-1, 2) != 0 {
		t.Error("bounds")
	}
}

// TestSplitIsNearest: no other number of pods comes nearer to the weight.
func TestSplitIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := rapid.IntRange(1, 200).Draw(t, "replicas")
		weight := rapid.IntRange(1, 99).Draw(t, "weight")
		c := splitPods(Step{Weight: weight}, replicas)
		// The wanted number is R*w/(100-w): compare distances without fractions.
		off := func(c int) int { return max(c*(100-weight)-replicas*weight, replicas*weight-c*(100-weight)) }
		if off(c+1) < off(c) || c > 1 && off(c-1) < off(c) {
			t.Fatalf("%d beside %d for %d%%", c, replicas, weight)
		}
	})
}
