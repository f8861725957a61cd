// Package cli is the command line, `sluice` and `kubectl sluice`: one file per command. It speaks to the API server
// as the user and knows nothing that the user could not read with kubectl; a person's word is a Decision object,
// which the controller answers.
//
// It may import api, translate, release and measure (for plan and lint) and kube/install. It never imports controller:
// cmd/sluice hands that in.
package cli
