package deployment

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/workloadtest"
)

func TestLaw(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	d.SetManagedFields(nil)
	rs := Next(d, Owner(d), nil, workload.Short(workload.TemplateOf(d).Hash, 0), 4)
	rs.SetUID("set")
	workloadtest.Run(t, workloadtest.Case{
		Driver: New(), Object: d, Part: rs,
		Edit: func(d *unstructured.Unstructured) {
			workloadtest.Set("x", "spec", "template", "metadata", "labels", "more")(d)
			workloadtest.Set(true, "spec", "paused")(d)
			workload.Annotate(d, v1alpha1.AnnotationHeld, "bob")
		},
	})
}
