package gateway

import (
	"encoding/json"
	"net/http"
)

// serveAdmin opens the listener for people and scrapers.
func serveAdmin(o Options, p *proxy, m *metrics) (*http.Server, error) {
	s := newServer(adminHandler(p, m), o.Log)
	if o.AdminListen == "" {
		return s, nil
	}
	l, err := listen("AdminListen", o.AdminListen)
	if err != nil {
		return nil, err
	}
	s.Addr = l.Addr().String()
	go func() { _ = s.Serve(l) }() // ends with Close
	return s, nil
}

func adminHandler(p *proxy, m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	mux.HandleFunc("GET /debug/routes", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(p.table.Load().Dump())
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}
