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
		divide   Divide
		step     Step
		replicas int
		want     int
	}{
		{ByLayers, Step{Weight: 0}, 10, 1},
		{ByLayers, Step{Weight: 0, Replicas: 3}, 10, 3},
		{ByLayers, Step{Weight: 20}, 10, 2},
		{ByLayers, Step{Weight: 21}, 10, 3},
		{ByLayers, Step{Weight: 50, Replicas: 2}, 10, 5},
		{ByLayers, Step{Weight: 100}, 10, 10},
		{ByPods, Step{Weight: 10}, 10, 1},
		{ByPods, Step{Weight: 20}, 10, 3}, // 2.5
		{ByPods, Step{Weight: 50}, 10, 10},
		{ByPods, Step{Weight: 75}, 4, 12},
		{ByPods, Step{Weight: 99}, 2, 198},
		{ByPods, Step{Weight: 100}, 10, 10},
		{ByPods, Step{Weight: 1}, 1, 1},
	} {
		if got := ways[Shape{tt.divide, true, ByHandOver}].pods(tt.step, tt.replicas); got != tt.want {
			t.Errorf("by %s, %+v of %d needs %d, want %d", tt.divide, tt.step, tt.replicas, got, tt.want)
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

// TestShareIsNearest: no other number of pods comes nearer to the weight.
func TestShareIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := rapid.IntRange(1, 200).Draw(t, "replicas")
		weight := rapid.IntRange(1, 99).Draw(t, "weight")
		c := podsToShare(Step{Weight: weight}, replicas)
		// The wanted number is R*w/(100-w): compare distances without fractions.
		off := func(c int) int { return max(c*(100-weight)-replicas*weight, replicas*weight-c*(100-weight)) }
		if off(c+1) < off(c) || c > 1 && off(c-1) < off(c) {
			t.Fatalf("%d beside %d for %d%%", c, replicas, weight)
		}
	})
}
