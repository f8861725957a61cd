package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// The indexes over the cache.
const (
	// indexRollout finds what belongs to a Rollout by its name.
	indexRollout = "rollout"
	// indexOwner finds what an object controls by that object's UID.
	indexOwner = "owner"
	// indexKeeper finds parts by the UID of the Rollout that keeps them.
	indexKeeper = "keeper"
	// indexService finds EndpointSlices by their Service.
	indexService = "service"
	// indexWorkload and indexTraffic find Rollouts by what they name.
	indexWorkload = "workload"
	indexTraffic  = "traffic"
	// indexTarget finds Holds by the object that they hold.
	indexTarget = "target"
)

// index adds the indexes over the cache, which every list by a field needs. It returns all errors joined.
func index(
	ctx context.Context, ix client.FieldIndexer, drivers []workload.Driver, layers translate.LayerKinds,
) error {
	add := func(obj client.Object, name string, of func(client.Object) []string) error {
		if err := ix.IndexField(ctx, obj, name, of); err != nil {
			return fmt.Errorf("index %T by %s: %w", obj, name, err)
		}
		return nil
	}
	errs := []error{
		add(&v1alpha1.Release{}, indexRollout, byLabel),
		add(&v1alpha1.Hold{}, indexRollout, byLabel),
		add(&v1alpha1.AnalysisRun{}, indexRollout, byLabel),
		add(&v1alpha1.Decision{}, indexRollout, func(o client.Object) []string {
			return one(keyOfDecision(o.(*v1alpha1.Decision)))
		}),
		add(&v1alpha1.Rollout{}, indexWorkload, func(o client.Object) []string {
			return one(workloadKey(o.(*v1alpha1.Rollout).Spec.Workload))
		}),
		add(&v1alpha1.Rollout{}, indexTraffic, func(o client.Object) []string {
			return namesOfTraffic(layers, o.(*v1alpha1.Rollout))
		}),
		add(&v1alpha1.Hold{}, indexTarget, func(o client.Object) []string {
			return one(targetKey(o.(*v1alpha1.Hold).Spec.Target))
		}),
		add(&discoveryv1.EndpointSlice{}, indexService,
			func(o client.Object) []string { return one(o.GetLabels()[discoveryv1.LabelServiceName]) }),
	}
	for _, driver := range drivers {
		kinds := driver.Kinds()
		errs = append(errs, add(untyped(kinds.Workload), indexRollout, byLabel),
			add(untyped(kinds.Part), indexOwner, byOwner), add(untyped(kinds.Part), indexKeeper, byKeeper))
	}
	return errors.Join(errs...)
}

// byLabel finds an object by the Rollout that its label names. Whoever may edit the object may set the label, so it is
// only a way to find it. Whose the object is, its owner's UID says.
func byLabel(o client.Object) []string { return one(o.GetLabels()[v1alpha1.LabelRollout]) }

// byOwner finds an object by its controller's UID. Names are used again when something is deleted and made anew; UIDs
// are not.
func byOwner(o client.Object) []string {
	if c := metav1.GetControllerOf(o); c != nil {
		return one(string(c.UID))
	}
	return nil
}

// namesOfTraffic are the team's objects that a Rollout names. Those that are named in others are only read, and are
// seen with the next look.
func namesOfTraffic(layers translate.LayerKinds, ro *v1alpha1.Rollout) []string {
	var out []string
	for _, t := range ro.Spec.Traffic {
		p := layers.Of(t)
		if p == nil {
			continue
		}
		for _, o := range p.Objects(traffic.World{}) {
			key := targetKey(translate.Target(o.Ref))
			if o.Name != "" && o.Part != traffic.Makes && !slices.Contains(out, key) {
				out = append(out, key)
			}
		}
	}
	return out
}

// workloadKey is a workload in an index.
func workloadKey(w v1alpha1.WorkloadReference) string { return w.Kind + "/" + w.Name }

// targetKey is the object of a Hold in an index. It leaves the API group out; who looks for a Hold compares the whole
// target (sharedHold).
func targetKey(t v1alpha1.HoldTarget) string { return t.Kind + "/" + t.Name }

// one is the list of one index value. Nothing is indexed by the empty value: all objects without a label would be in
// one list.
func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// untyped is an empty object of a kind, to be read into. Kinds that drivers and layers name have no Go type here.
func untyped(gvk schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u
}
