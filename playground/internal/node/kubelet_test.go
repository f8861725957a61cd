package node

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
)

func TestParseLogQuery(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]logQuery{
		"":                                {tail: -1},
		"tailLines=0":                     {tail: 0},
		"tailLines=5&follow=true":         {tail: 5, follow: true},
		"sinceSeconds=60&timestamps=true": {tail: -1, since: now.Add(-time.Minute), timestamps: true},
		"sinceTime=2025-01-01T00:00:00Z&limitBytes=9": {tail: -1, limit: 9, since: now.AddDate(-1, 0, 0)},
	} {
		values, _ := url.ParseQuery(text)
		got, _, err := parseLogQuery(values, now)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(logQuery{}), cmpopts.EquateApproxTime(0)); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"tailLines=x", "limitBytes=-1", "sinceTime=yesterday"} {
		values, _ := url.ParseQuery(text)
		if _, _, err := parseLogQuery(values, now); err == nil {
			t.Errorf("%q was understood", text)
		}
	}
}

func TestKubeletEndpoint(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers,
			corev1.Container{Name: "job", Image: "speaks"}, corev1.Container{Name: "none", Image: "nosuch"})
	}, func(w *world, p *pod) {
		w.runs["speaks"] = func(c *call, n int) int { c.say("run %d", n); return 1 }
		v := newProvider(w.host, nil, nil)
		v.pods[nameOf(p.api)] = p
		p.begin()
		after(2 * time.Second) // the third run has ended
		h := v.handler()
		for _, tc := range []struct {
			path string
			code int
			want string
		}{
			{"/containerLogs/demo/shop-1/job", 200, "run 3\n"},
			{"/containerLogs/demo/shop-1/job?previous=true", 200, "run 3\n"},
			{"/containerLogs/demo/shop-1/web", 200, ""},
			{"/containerLogs/demo/shop-1/web?previous=true", 400, `previous terminated container "web" in pod "shop-1" not found`},
			{"/containerLogs/demo/shop-1/web?tailLines=x", 400, `tailLines "x": want a number`},
			{"/containerLogs/demo/shop-1/none", 400, `container "none" in pod "shop-1" is waiting to start: trying and failing to pull image`},
			{"/containerLogs/demo/shop-1/other", 404, `no container "other"`},
			{"/containerLogs/demo/shop-2/web", 404, "pod demo/shop-2 is not on this node"},
			{"/exec/demo/shop-1/web", 501, "cannot run a command in a pod"},
		} {
			r := httptest.NewRecorder()
			h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, tc.path, nil))
			if r.Code != tc.code || !strings.Contains(r.Body.String(), tc.want) {
				t.Errorf("%s: %d %q, want %d with %q", tc.path, r.Code, r.Body, tc.code, tc.want)
			}
		}
		v.queue.ShutDown()
	})
}
