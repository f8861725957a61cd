package analysis

import (
	"math/rand/v2"
	"testing"
)

// asked asks a share again and again until there is a verdict, or no more requests come. Requests come in lots, as
// they are collected.
func asked(rng *rand.Rand, s Share, truth float64, lot, most int) (ShareVerdict, int) {
	var seen Served
	for seen.Total < float64(most) {
		for range lot {
			seen.Total++
			if rng.Float64() < truth {
				seen.Canary++
			}
		}
		if v := s.Judge(seen); v != ShareUnknown {
			return v, int(seen.Total)
		}
	}
	return ShareUnknown, most
}

// TestFaultC4ShareServed: a share that is what was told is known for it after some hundred requests, one that has stayed
// what it was is known for that, and either word is wrong no more often than it may be.
func TestFaultC4ShareServed(t *testing.T) {
	for _, c := range []struct {
		due, before int
		atLeast     bool
		truth       float64
		want        ShareVerdict
		within      int
	}{
		{20, 0, false, 0.2, ShareServed, 1000},
		{20, 0, false, 0, ShareDiffers, 200},
		{20, 0, false, 0.03, ShareDiffers, 1000},
		{50, 20, false, 0.5, ShareServed, 1000},
		{50, 20, false, 0.2, ShareDiffers, 1000},
		{30, 20, false, 0.3, ShareServed, 8000},
		{30, 20, false, 0.2, ShareDiffers, 8000},
		{100, 70, false, 1, ShareServed, 200},
		{100, 70, false, 0.7, ShareDiffers, 1000},
		{1, 0, false, 0.01, ShareServed, 20000},
		{1, 0, false, 0, ShareDiffers, 4000},
		// Somebody else's canary takes nearly all.
		{20, 0, false, 0.9, ShareDiffers, 200},
		// Testers are sent there by a header, whatever the weight.
		{20, 0, true, 0.9, ShareServed, 200},
		{20, 0, true, 0, ShareDiffers, 200},
		// The same weight as before: what counts is that it is served at all.
		{20, 20, false, 0.2, ShareServed, 1000},
	} {
		rng, wrong, slow := rand.New(rand.NewPCG(7, uint64(c.due))), 0, 0
		const runs = 200
		for range runs {
			switch got, n := asked(rng, Share{Due: c.due, Before: c.before, AtLeast: c.atLeast}, c.truth, 20, 40000); {
			case got != c.want:
				wrong++
			case n > c.within:
				slow++
			}
		}
		if wrong > runs/25 {
			t.Errorf("%+v: wrong in %d of %d runs", c, wrong, runs)
		}
		if slow > runs/20 {
			t.Errorf("%+v: took more than %d requests in %d of %d runs", c, c.within, slow, runs)
		}
	}
}

// TestShareOnTheEdge: where the share is exactly on the edge, neither word is said more often than it may be.
func TestShareOnTheEdge(t *testing.T) {
	rng, said := rand.New(rand.NewPCG(7, 7)), 0
	for range 500 {
		if got, _ := asked(rng, Share{Due: 20}, 0.1, 10, 3000); got != ShareUnknown {
			said++
		}
	}
	if said > 15 { // 1 in 100 may be; 5 is the mean, and 15 is four standard deviations above.
		t.Errorf("a verdict in %d of 500 runs", said)
	}
}

func TestShareNonsense(t *testing.T) {
	for _, seen := range []Served{{}, {1, 0}, {-1, 10}, {0, -5}} {
		if got := (Share{Due: 20}).Judge(seen); got != ShareUnknown {
			t.Errorf("%+v: %s", seen, got)
		}
	}
	if got := (Share{Due: 20}).Sentence(Served{Canary: 13, Total: 412}); got != "3.2% of 412 requests reached the new version, 20% are due" {
		t.Error(got)
	}
}
