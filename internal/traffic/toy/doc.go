// Package toy is a traffic layer of no gateway. It shows what a layer can be, and a test adds it by the recipe in
// CONTRIBUTING, to the letter, and releases through it.
//
// The team has a Router, whose routes lead to Services, and may have a RuleSet of the same name, whose rules go by
// headers. For a release Sluice makes a Pool, which selects the canary's pods by their labels, and has the routes and
// the rules lead there. So the layer is one over three objects of three kinds: two of the team's, each under its own
// Hold, and one of Sluice's.
//
// It may import traffic, release and apimachinery. Only tests import it.
package toy
