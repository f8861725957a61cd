package translate

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
)

// Twins names the canary Services of a release, or of the next one where rel is nil.
func Twins(rel *v1alpha1.Release) naming.Twins {
	if rel == nil {
		return naming.Twins{}
	}
	return naming.Twins{
		Suffix: rel.Spec.CanarySuffix, PreviewOf: rel.Spec.PreviewOf, Preview: rel.Spec.Plan.PreviewService,
	}
}
