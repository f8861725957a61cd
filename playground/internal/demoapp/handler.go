package demoapp

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed page.html
var page []byte

// app serves one Config.
type app struct {
	config   Config
	random   func() float64 // in [0,1), called under mu
	mu       sync.Mutex
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// New returns the application. A nil source of chance is seeded by the runtime.
func New(c Config, chance rand.Source) http.Handler {
	if chance == nil {
		chance = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	a := &app{config: c, random: rand.New(chance).Float64}
	metrics := a.register()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.page)
	mux.HandleFunc("GET /version", a.version)
	mux.HandleFunc("GET /headers", a.headers)
	mux.HandleFunc("GET /healthz", healthz)
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("POST /color", a.chosen)
	mux.HandleFunc("/", a.colour)
	return a.measured(mux)
}

func (a *app) register() http.Handler {
	a.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "Requests answered, by status code.",
	}, []string{"code"})
	a.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "http_request_duration_seconds",
		Help:    "Time to answer a request.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, .75, 1, 1.5, 2, 3, 5, 10},
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(a.requests, a.seconds)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// measured puts the version on every answer and counts it. Probes and scrapes are
// not counted: an error rate is to be that of the users' requests.
func (a *app) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", a.config.Version)
		w.Header().Set("X-Pod", a.config.Pod)
		switch r.URL.Path {
		case "/", "/healthz", "/metrics":
			next.ServeHTTP(w, r)
			return
		}
		begin := time.Now()
		rec := &recorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(rec, r)
		a.requests.WithLabelValues(strconv.Itoa(rec.code)).Inc()
		a.seconds.Observe(time.Since(begin).Seconds())
	})
}

type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

func (a *app) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}

func (a *app) version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "%s %s\n", a.config.Version, a.config.Pod)
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("ok\n"))
}

// headers tells the request as this application saw it.
func (a *app) headers(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"method": r.Method, "host": r.Host, "path": r.URL.RequestURI(), "headers": r.Header,
	})
}

func (a *app) colour(w http.ResponseWriter, r *http.Request) {
	fails, wait := a.draw()
	a.answer(w, r, a.config.Colour, fails, wait)
}

// draw throws the dice for one request.
func (a *app) draw() (fails bool, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fails = a.random()*100 < a.config.ErrorRate
	wait = a.config.Latency
	if !a.config.FixedDelay {
		wait = time.Duration(a.random() * float64(wait))
	}
	return fails, wait
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, colour string, fails bool, wait time.Duration) {
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	code := http.StatusOK
	if fails {
		code = http.StatusInternalServerError
	}
	writeJSON(w, code, colour)
}

// choice is one entry of the original application's POST body: what to do when this
// version, of this colour, gets the request.
type choice struct {
	Color       string  `json:"color"`
	Return500   float64 `json:"return500"`   // percent
	DelayLength float64 `json:"delayLength"` // seconds
}

// chosen is /color with errors and delays chosen by the caller, as the original's
// page does. A body that is empty, or says nothing about our colour, changes nothing.
func (a *app) chosen(w http.ResponseWriter, r *http.Request) {
	var choices []choice
	body := http.MaxBytesReader(w, r.Body, 64<<10)
	if err := json.NewDecoder(body).Decode(&choices); err != nil && r.ContentLength > 0 {
		http.Error(w, fmt.Sprintf("the body is no list of {color, return500, delayLength}: %v", err), http.StatusBadRequest)
		return
	}
	fails, wait := a.draw()
	for _, c := range choices {
		if c.Color != a.config.Colour {
			continue
		}
		a.mu.Lock()
		fails = fails || a.random()*100 < c.Return500
		a.mu.Unlock()
		wait += time.Duration(min(c.DelayLength, 60) * float64(time.Second))
	}
	a.answer(w, r, a.config.Colour, fails, wait)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}
