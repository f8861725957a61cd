// Package demoapp is the application that the playground's pods run: a small HTTP
// server whose answers show which version gave them, and which can be told, by its
// image tag and environment, to fail, to be slow, to start late or to crash.
//
// It is an http.Handler and the reading of its configuration, nothing else: it opens
// no port, so that tests can drive it with a recorder. Package node runs it.
//
//	GET /          a page that shows the colours served, live; for probes: always 200 when the server runs
//	GET /color     the colour as a JSON string, "blue"; subject to ERROR_RATE and LATENCY
//	POST /color    the same; the original application's way of choosing an error or a delay per call
//	GET /version   the tag and the pod's name
//	GET /headers   the request as it arrived, in JSON
//	GET /healthz   ok
//	GET /metrics   http_requests_total, http_request_duration_seconds
//	any other      as /color, so that routes by path can be tried
//
// The environment changes what the tag says: COLOR, ERROR_RATE (percent), LATENCY,
// START_DELAY, CRASH_AFTER, EXIT_CODE, PORT (8080), TERMINATION_DELAY (3s).
//
// Every answer carries X-Version (the tag) and X-Pod.
package demoapp
