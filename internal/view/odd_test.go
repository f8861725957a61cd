package view

import (
	"reflect"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// TestOddObjects: whatever the objects have in them, also what no controller would write, there is a picture, and the
// objects stay as they are. Somebody may have edited a status by hand, or another version may have written it.
func TestOddObjects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := oddObjects(t)
		before := deepCopy(o)
		p := Of(o)
		if again := Of(o); !reflect.DeepEqual(p, again) {
			t.Fatal("a second picture of the same objects is another one")
		}
		if !reflect.DeepEqual(before, o) {
			t.Fatal("the objects were changed")
		}
		if p.Standing.Verdict == "" {
			t.Fatal("there is no verdict")
		}
		if o.Rollout != nil {
			RowOf(o.Rollout)
		}
		if o.Release != nil {
			PendingOf(o.Release)
			Person{Name: "alice", Groups: []string{"admins"}}.MayApprove(o.Release)
			StepsInWords(o.Release.Spec.Plan.Steps)
		}
	})
}

func oddObjects(t *rapid.T) Objects {
	var o Objects
	if rapid.Bool().Draw(t, "rollout") {
		o.Rollout = odd[v1alpha1.Rollout](t)
	}
	if rapid.Bool().Draw(t, "release") {
		o.Release = odd[v1alpha1.Release](t)
		o.Release.Spec.Plan = v1alpha1.ReleasePlan{Steps: o.Release.Spec.Plan.Steps, Traffic: o.Release.Spec.Plan.Traffic}
	}
	o.Named = rapid.Bool().Draw(t, "named")
	if rapid.Bool().Draw(t, "workload") {
		o.Workload = &appsv1.Deployment{}
		o.Workload.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "a"}}
	}
	o.TemplateHash = rapid.SampledFrom(words).Draw(t, "hash")
	fill(t, reflect.ValueOf(&o.Layers).Elem(), 0)
	fill(t, reflect.ValueOf(&o.Holds).Elem(), 2)
	fill(t, reflect.ValueOf(&o.Analyses).Elem(), 0)
	for i := range o.Analyses {
		if o.Release != nil {
			owner := metav1.OwnerReference{UID: o.Release.UID, Controller: new(true)}
			o.Analyses[i].OwnerReferences = []metav1.OwnerReference{owner}
		}
	}
	if rapid.Bool().Draw(t, "sets") {
		rs := appsv1.ReplicaSet{}
		fill(t, reflect.ValueOf(&rs.ObjectMeta).Elem(), 0)
		o.Sets = []appsv1.ReplicaSet{rs, {}}
		o.Pods = []corev1.Pod{{ObjectMeta: rs.ObjectMeta}, {}}
		o.Services = []corev1.Service{{ObjectMeta: rs.ObjectMeta}, {}}
	}
	return o
}

func odd[T any](t *rapid.T) *T {
	o := new(T)
	fill(t, reflect.ValueOf(o).Elem(), 0)
	return o
}

func deepCopy(o Objects) Objects {
	out := o
	if o.Rollout != nil {
		out.Rollout = o.Rollout.DeepCopy()
	}
	if o.Release != nil {
		out.Release = o.Release.DeepCopy()
	}
	if o.Workload != nil {
		out.Workload = o.Workload.DeepCopy()
	}
	out.Analyses = nil
	for _, a := range o.Analyses {
		out.Analyses = append(out.Analyses, *a.DeepCopy())
	}
	if o.Analyses != nil && out.Analyses == nil {
		out.Analyses = []v1alpha1.AnalysisRun{}
	}
	return out
}

// words are texts that mean something somewhere, and some that mean nothing.
var words = []string{
	"", "a", "web", "shop", "\xff", "ü\n\x1b[2K", "True", "deadbeef",
	v1alpha1.ConditionStalled, v1alpha1.ConditionUnreleasedPods, v1alpha1.LabelPodTemplateHash, v1alpha1.LabelRelease,
	release.ReasonPausedForPerson, release.ReasonAwaitingApproval, release.ReasonWindowShut, release.ReasonScaledToZero,
	string(v1alpha1.ReleasePaused), string(v1alpha1.ReleaseCompleting), string(v1alpha1.ReleaseAborted),
	string(v1alpha1.RolloutRejected), string(v1alpha1.RolloutHealthy), string(v1alpha1.RolloutStalled),
}

// fill puts anything into a value: any number, also a negative one, any word, lists and pointers that are there or not.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch o := v.Addr().Interface().(type) {
	case *metav1.Time:
		*o = metav1.NewTime(time.Unix(1e9, 0))
		return
	case *metav1.MicroTime:
		*o = metav1.NewMicroTime(time.Unix(1e9, 0))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if depth < 9 && rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), depth+1)
			}
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom(words).Draw(t, "word"))
	case reflect.Slice:
		n := rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "items")
		if n == 0 || depth > 7 || v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[string]string]() {
			key, value := rapid.SampledFrom(words).Draw(t, "key"), rapid.SampledFrom(words).Draw(t, "value")
			v.Set(reflect.ValueOf(map[string]string{key: value}))
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.SampledFrom([]int64{-7, -1, 0, 1, 2, 1 << 30}).Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	default: // Nothing else is looked at.
	}
}
