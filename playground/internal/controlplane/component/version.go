package component

import (
	"fmt"
	"runtime/debug"
	_ "unsafe" // for the linkname below

	"k8s.io/component-base/version"
)

const kubernetesModule = "k8s.io/kubernetes"

// gitVersion is the variable that Kubernetes' own builds stamp by a linker flag. A flag would have to be
// given to every `go build`, `go install` and `go test`; without it the API server calls itself v0.0.0.
//
//go:linkname gitVersion k8s.io/component-base/version.gitVersion
var gitVersion string

// Version returns the version of Kubernetes that is built in, such as v1.36.3.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == kubernetesModule {
			return m.Version
		}
	}
	return ""
}

// ReportVersion makes the Kubernetes code in this process report the release that it was taken from.
func ReportVersion() error {
	v := Version()
	if v == "" {
		return fmt.Errorf("find the version of %s in the build information of this binary", kubernetesModule)
	}
	gitVersion = v
	return version.SetDynamicVersion(v)
}
