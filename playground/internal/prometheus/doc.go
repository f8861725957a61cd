// Package prometheus is the playground's Prometheus: the real one's storage, query engine
// and scraper as libraries, in this process, since only this process reaches the pods.
//
// The way of a number, from left to right:
//
//	target.go   the gateway and the nodes say what there is to scrape
//	scrape.go   Prometheus' own scraper asks each of them, once an interval
//	storage.go  Prometheus' own database keeps the answers
//	api.go      GET and POST /api/v1/query, query_range, series, labels, targets
//	service.go  and pods find all this as prometheus.monitoring:9090
//
// The HTTP API is written anew: that of Prometheus brings its rules, its alerts, remote
// storage and two OpenAPI libraries with it, sixty modules and twice the compile time of
// all the rest together. Values are encoded by Prometheus' own types, and parameters,
// codes and error types are those that it documents.
//
// Only the playground's command imports it.
package prometheus
