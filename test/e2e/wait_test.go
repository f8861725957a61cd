package e2e

import (
	"testing"
	"time"
)

// until tries until there is no error, for limit at the most; then the test ends with the last error.
func until(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s; last: %v", limit, what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the test ended while waiting until %s; last: %v", what, err)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
