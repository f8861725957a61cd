// Package measure says what the analyses of a Rollout come to: the templates that they name, frozen into a release's
// plan, and out of these the metrics with every argument filled in. The controller and the command line share it, so
// that `sluice lint` and `sluice plan` tell what the controller would refuse.
//
// It may import api, metric with its sources, and naming, and nothing else of Sluice's.
package measure
