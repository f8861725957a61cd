// Package lint checks manifests without a cluster, by the same schema and the same CEL rules with which the API server
// would, so that the two never disagree; and then by the core's own rules. Problems name the field, the line and
// the remedy.
//
// It may import api, deploy (whose CRDs are the schema), translate, release and measure. Only cli
// imports it.
package lint
