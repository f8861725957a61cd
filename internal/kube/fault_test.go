package kube

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

type answered int

func (a answered) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

func TestMortalDiesAfterTheWritesThatCount(t *testing.T) {
	type call struct {
		method, path string
		status       int
	}
	shop := "/apis/apps/v1/namespaces/demo/deployments/shop"
	tests := map[string]struct {
		calls []call
		dies  bool
	}{
		"two writes":         {[]call{{"PATCH", shop, 200}, {"POST", shop, 201}}, true},
		"reads do not count": {[]call{{"PATCH", shop, 200}, {"GET", shop, 200}}, false},
		"conflicts neither":  {[]call{{"PATCH", shop, 200}, {"PATCH", shop, 409}}, false},
		"events neither":     {[]call{{"PATCH", shop, 200}, {"POST", "/apis/events.k8s.io/v1/namespaces/demo/events", 201}}, false},
		"leases neither":     {[]call{{"PATCH", shop, 200}, {"PUT", "/apis/coordination.k8s.io/v1/namespaces/x/leases/y", 200}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			left, died := &atomic.Int64{}, false
			left.Store(2)
			for _, c := range tt.calls {
				r, err := http.NewRequestWithContext(t.Context(), c.method, "http://api"+c.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				m := mortal{next: answered(c.status), left: left, die: func() { died = true }}
				res, err := m.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
			}
			if died != tt.dies {
				t.Errorf("died: %v, want %v", died, tt.dies)
			}
		})
	}
}

func TestFaultyRefusesWhatIsNoNumber(t *testing.T) {
	for _, value := range []string{"0", "-1", "x"} {
		if err := Faulty(&rest.Config{}, value); err == nil || !strings.Contains(err.Error(), FaultEnv) {
			t.Errorf("%q: error %v, want one that names %s", value, err, FaultEnv)
		}
	}
	if err := Faulty(&rest.Config{}, ""); err != nil {
		t.Errorf("unset: %v", err)
	}
}
