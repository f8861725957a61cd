// Package install puts Sluice into a cluster and takes it out again: kinds, rights, admission policies and the
// controller, in the order in which they can work, each waited for.
//
// The user's commands and the tests import it. It imports admission, api and deploy, and nothing of the
// core.
package install
