// Package metric measures: a Source asks a monitoring system and gives back one value, and a Condition says whether
// that value is good. What many measurements mean together is decided elsewhere.
//
// The addresses are written by whoever writes a template, and the asking is done by the controller, from where it
// stands in the network. So the package is a border. egress.go says what may be asked, and looks at the address that is
// dialled; connection.go is the only way to credentials; fault.go words what went wrong, without anything that the
// other side wrote. condition.go holds CEL to a cost and a time, value.go keeps what is no number from being taken for
// one.
//
// It does I/O, but not with the API server: Secrets come by a function. It may import the API types, the standard
// library and cel-go. Sources are one folder each below this one; they import this package and not each other.
// internal/registry lists them.
package metric
