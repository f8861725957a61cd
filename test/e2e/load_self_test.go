package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// TestLoad holds the measuring client itself against a server that is known.
func TestLoad(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch i := n.Add(1); {
		case r.Host != "shop.test" || i%100 == 50:
			w.WriteHeader(http.StatusServiceUnavailable)
		case i%5 == 0:
			fmt.Fprintln(w, `"green"`)
		default:
			fmt.Fprintln(w, `"blue"`)
		}
	}))
	defer s.Close()
	l := startLoad(request{url: s.URL + "/color", host: "shop.test"}, 400)
	l.next(t, 400)
	all := l.end()
	failed := 0
	for _, s := range all {
		if s.failed() {
			failed++
		}
	}
	if want := len(all) / 100; failed < want || failed > want+1 {
		t.Errorf("saw %d failures in %d requests, want one in a hundred", failed, len(all))
	}
	if d := deviation(all, "green", 20); d > 3 {
		t.Errorf("20%% green measured as %v (%.1f standard deviations)", versions(all), d)
	}
	if d := deviation(all, "green", 50); d <= 3 {
		t.Errorf("50%% green not told from %v (%.1f standard deviations)", versions(all), d)
	}
}
