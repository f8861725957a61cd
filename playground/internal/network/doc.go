// Package network is the playground's pod network: it gives pods addresses of
// their own and translates those addresses to real listeners on loopback.
//
// The API server refuses loopback addresses in EndpointSlices, so pods are known
// there by addresses of 198.18.0.0/16 (set aside for tests by RFC 2544, routed
// nowhere). Where the system answers on all of 127.0.0.0/8 (Linux), the pod
// 198.18.3.4 really listens on 127.18.3.4, so that a person can curl it; where it
// does not, or where that address is taken, on any free port of 127.0.0.1. A
// table holds which, so callers need not know: they dial the pod's address.
//
// Everything in the playground that speaks to pods imports it: node, gateway.
package network
