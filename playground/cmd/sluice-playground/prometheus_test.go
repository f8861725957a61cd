package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// The queries of README.md, with $SERVICE for the Service's name.
const (
	successRate = `sum(rate(sluice_gateway_requests_total{service="%s",class!="5xx"}[1m])) / sum(rate(sluice_gateway_requests_total{service="%[1]s"}[1m]))`
	latencyP95  = `histogram_quantile(0.95, sum by (le) (rate(sluice_gateway_request_duration_seconds_bucket{service="%s"}[1m])))`
)

// A bad version is told from a good one by PromQL alone, at the gateway and at its pods.
func TestPrometheusJudgesVersions(t *testing.T) {
	p := startUp(t)
	runKubectl(t, p.kubeconfig, "apply", "-f", "testdata/canary.yaml")
	runKubectl(t, p.kubeconfig, "rollout", "status", "deployment/shop", "--timeout=60s")
	runKubectl(t, p.kubeconfig, "rollout", "status", "deployment/shop-canary", "--timeout=60s")
	p.await(t, "Prometheus to scrape all pods", func() error { return p.want(`sum(up{job="pods"})`, 3, 0) })
	p.await(t, "a route to each version", func() error {
		for canary, version := range map[string]string{"never": "blue", "always": "bad-red"} {
			if _, got := p.send(t, canary); got != version {
				return fmt.Errorf("X-Canary: %s is answered by %q", canary, got)
			}
		}
		return nil
	})

	// rate() does not see the first increase of a series. So all series are made first, and what counts comes
	// after they have been scraped.
	seen := map[int]int{}
	for seen[http.StatusOK] == 0 || seen[http.StatusInternalServerError] == 0 {
		code, _ := p.send(t, "always")
		seen[code]++
	}
	p.awaitCounts(t)
	good, bad := p.load(t, "never", 300), p.load(t, "always", 300)
	if bad == 0 || good != 0 {
		t.Fatalf("%d answers of the good version and %d of the bad one were errors", good, bad)
	}
	p.awaitCounts(t)

	// Some of what was sent before is within the window too, so the share is not exactly that of the load.
	for service, want := range map[string]float64{"shop": 1, "shop-canary": 1 - float64(bad)/300} {
		if err := p.want(fmt.Sprintf(successRate, service), want, .05); err != nil {
			t.Error(err)
		}
	}
	late, err := p.query(fmt.Sprintf(latencyP95, "shop-canary"))
	if err != nil || late < .25 { // every request waits 300 ms
		t.Errorf("p95 of shop-canary is %v (%v), want at least 0.25", late, err)
	}
	if soon, err := p.query(fmt.Sprintf(latencyP95, "shop")); err != nil || soon >= late {
		t.Errorf("p95 of shop is %v (%v), that of shop-canary %v", soon, err, late)
	}
	p.checkPods(t)
	runKubectl(t, p.kubeconfig, "wait", "--for=condition=complete", "job/query", "--timeout=60s")
	p.interrupt(t)
}

// checkPods looks at what the pods themselves say, and whether targets follow them.
func (p *running) checkPods(t *testing.T) {
	t.Helper()
	hash := runKubectl(t, p.kubeconfig, "get", "pods", "-l", "app=shop-canary", "-o", `jsonpath={.items[0].metadata.labels.pod-template-hash}`)
	share := fmt.Sprintf(`sum(http_requests_total{app="shop-canary",pod_template_hash="%s",container="shop",code="500"}) > bool 0`, hash)
	if err := p.want(share, 1, 0); err != nil {
		t.Error(err)
	}
	runKubectl(t, p.kubeconfig, "scale", "deployment/shop-canary", "--replicas=0")
	runKubectl(t, p.kubeconfig, "scale", "deployment/shop", "--replicas=3")
	p.await(t, "the targets to follow", func() error {
		if err := p.want(`sum(up{app="shop"})`, 3, 0); err != nil {
			return err
		}
		return p.want(`absent(up{app="shop-canary"})`, 1, 0)
	})
}

// send sends a request and gives its code and the version that answered.
func (p *running) send(t *testing.T, canary string) (code int, version string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.gateway+"/color", nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Host = "shop.demo"
	r.Header.Set("X-Canary", canary)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	version = response.Header.Get("X-Version")
	if version != "" {
		p.answered.Add(1)
	}
	return response.StatusCode, version
}

// load sends n requests, twenty at a time, and counts the errors among the answers.
func (p *running) load(t *testing.T, canary string, n int) int64 {
	t.Helper()
	var left, failed atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if code, _ := p.send(t, canary); code != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	return failed.Load()
}

// awaitCounts waits until Prometheus knows of every request that a pod has answered, from the gateway and from the pods.
func (p *running) awaitCounts(t *testing.T) {
	t.Helper()
	p.await(t, "all answers to be counted", func() error {
		return errors.Join(
			p.want(`sum(sluice_gateway_requests_total{host="shop.demo",code=~"200|500"})`, float64(p.answered.Load()), 0),
			p.want(`sum(sluice_gateway_request_duration_seconds_count{host="shop.demo",namespace="default",service=~"shop|shop-canary"})`, float64(p.answered.Load()), 0),
			p.want(`sum(http_requests_total{namespace="default"})`, float64(p.answered.Load()), 0),
		)
	})
}

func (p *running) want(expression string, want, within float64) error {
	got, err := p.query(expression)
	if err == nil && math.Abs(got-want) > within {
		err = fmt.Errorf("%s is %v, want %v", expression, got, want)
	}
	return err
}

// query asks Prometheus for one number, as any program does.
func (p *running) query(expression string) (float64, error) {
	response, err := http.PostForm("http://"+p.prometheus+"/api/v1/query", url.Values{"query": {expression}})
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Error != "" || len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%s gives %d results %s", expression, len(answer.Data.Result), answer.Error)
	}
	return strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
}
