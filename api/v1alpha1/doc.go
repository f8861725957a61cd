// Package v1alpha1 holds Sluice's API: the kinds that users write and read.
//
// It may import apimachinery and nothing else, so that anybody can use the types without inheriting
// the controller's dependencies. CRDs (deploy/crds) and deep copies are generated from it.
//
// +kubebuilder:object:generate=true
// +groupName=sluice.dev
package v1alpha1
