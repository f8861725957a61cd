package component

import (
	_ "unsafe" // for the linkname below

	"k8s.io/component-base/version"
)

// kubernetesVersion is the release in go.mod; a test holds the two together. The build information of
// the binary has it too, but not that of a test's.
const kubernetesVersion = "v1.36.3"

// gitVersion is the variable that Kubernetes' own builds stamp by a linker flag. A flag would have to be
// given to every `go build`, `go install` and `go test`; without it the API server calls itself v0.0.0.
//
//go:linkname gitVersion k8s.io/component-base/version.gitVersion
var gitVersion string

// Version returns the version of Kubernetes that is built in, such as v1.36.3.
func Version() string { return kubernetesVersion }

// ReportVersion makes the Kubernetes code in this process report the release that it was taken from.
func ReportVersion() error {
	gitVersion = kubernetesVersion
	return version.SetDynamicVersion(kubernetesVersion)
}
