// Package kube is the only caller of the API server in the controller: cached reads, writes with a precondition,
// and the ledger that keeps a decision from being made on a picture older than our own last write.
//
// It may import api and controller-runtime. The core and the adapters never import it.
package kube
