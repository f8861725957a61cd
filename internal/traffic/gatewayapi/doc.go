// Package gatewayapi is the layer of the Gateway API's HTTPRoutes and GRPCRoutes, of Gateways and of meshes (GAMMA). It
// edits the rules of the team's own object, under a Hold with the rules as they were, and works on the object as it
// is, not on typed structs, so that fields that this code does not know survive. The kinds are two rows in kind.go.
//
// Three kinds of rules are told apart by their backends alone, since a rule has no place for a mark: a rule that
// names one of the workload's Services is the team's, split or not; one that names a canary Service and no stable
// one was generated for the matches of a step; any other is none of ours. That is why a rule keeps its stable
// backend, with weight 0, when the canary has all of the weight.
//
// It may import traffic, release and apimachinery. Only the registry imports it.
package gatewayapi
