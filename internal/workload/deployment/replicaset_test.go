package deployment

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/workloadtest"
)

var (
	yes   = true
	owner = metav1.OwnerReference{APIVersion: "sluice.dev/v1alpha1", Kind: "Release", Name: "shop-1", UID: "r-1", Controller: &yes}
	marks = map[string]string{v1alpha1.LabelRollout: "shop", v1alpha1.LabelRelease: "shop-1"}
)

func TestNext(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	before := d.DeepCopy()
	rs := Next(d, owner, marks, "5d41402abc", 3)
	if diff := cmp.Diff(before, d); diff != "" {
		t.Errorf("the Deployment was changed:\n%s", diff)
	}
	h := workload.TemplateOf(d).Hash
	if workload.TemplateOf(rs).Hash != h || rs.GetName() != "shop-5d41402abc" || PodTemplateHash(rs) != "5d41402abc" || Replicas(rs) != 3 || !workload.OwnedBy(rs, "r-1") {
		t.Errorf("%v", rs.Object)
	}
	for k, v := range marks {
		if rs.GetLabels()[k] != v {
			t.Errorf("label %s is %q", k, rs.GetLabels()[k])
		}
		if labels, _, _ := unstructured.NestedStringMap(rs.Object, "spec", "template", "metadata", "labels"); labels[k] != "" {
			t.Errorf("the pods bear %s, so that their template is not the Deployment's", k)
		}
	}
	// The Deployment controller takes it over only if its template is the Deployment's but for the hash label.
	got, _, _ := unstructured.NestedMap(rs.Object, "spec", "template")
	unstructured.RemoveNestedField(got, "metadata", "labels", v1alpha1.LabelPodTemplateHash)
	want, _, _ := unstructured.NestedMap(d.Object, "spec", "template")
	unstructured.RemoveNestedField(want, "metadata", "creationTimestamp")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("template (-want +got):\n%s", diff)
	}
	selector, _, _ := unstructured.NestedStringMap(rs.Object, "spec", "selector", "matchLabels")
	if diff := cmp.Diff(map[string]string{"app": "shop", v1alpha1.LabelPodTemplateHash: "5d41402abc"}, selector); diff != "" {
		t.Errorf("selector (-want +got):\n%s", diff)
	}
	if ready, _, _ := unstructured.NestedInt64(rs.Object, "spec", "minReadySeconds"); ready != 7 {
		t.Errorf("minReadySeconds is %d", ready)
	}
}

// TestHandOver: given to the Deployment and taken back again, a ReplicaSet is what it was, but for the size marks.
func TestHandOver(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	rs := Next(d, owner, marks, "5d41402abc", 4)
	given := HandedOver(rs, d)
	ref := metav1.GetControllerOf(given)
	if ref == nil || ref.UID != "d-1" || ref.Kind != "Deployment" || ref.BlockOwnerDeletion == nil || !*ref.BlockOwnerDeletion || len(given.GetOwnerReferences()) != 1 {
		t.Errorf("owners %v", given.GetOwnerReferences())
	}
	if given.GetLabels()[v1alpha1.LabelRelease] != "" || given.GetLabels()[v1alpha1.LabelRollout] != "" {
		t.Errorf("labels %v", given.GetLabels())
	}
	want := map[string]string{annotationDesired: "4", annotationMax: "5"} // 25% of 4 above.
	if diff := cmp.Diff(want, given.GetAnnotations()); diff != "" {
		t.Errorf("size marks (-want +got):\n%s", diff)
	}
	back := Taken(given, owner, marks)
	back.SetAnnotations(nil)
	if diff := cmp.Diff(rs.Object, back.Object); diff != "" {
		t.Errorf("taken back (-want +got):\n%s", diff)
	}
	if Replicas(Scaled(rs, 9)) != 9 || Replicas(rs) != 4 {
		t.Error("Scaled")
	}
}

// TestFormer: the mark makes the template another to Kubernetes and the same to us, also in the cache, and goes without
// a trace.
func TestFormer(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	rs := HandedOver(Next(d, owner, marks, "5d41402abc", 4), d)
	marked := Former(rs)
	if mark, _, _ := unstructured.NestedString(marked.Object, "spec", "template", "metadata", "annotations", annotationFormer); mark == "" {
		t.Error("no mark")
	}
	if !workload.TemplateOf(marked).Former || workload.TemplateOf(marked).Hash != workload.TemplateOf(rs).Hash {
		t.Errorf("%+v", workload.TemplateOf(marked))
	}
	if diff := cmp.Diff(marked.Object, Former(marked).Object); diff != "" {
		t.Errorf("marked again:\n%s", diff)
	}
	template, _, _ := unstructured.NestedMap(marked.Object, "spec", "template")
	podtemplate.Plain(template)
	want, _, _ := unstructured.NestedMap(d.Object, "spec", "template")
	unstructured.RemoveNestedField(want, "metadata", "creationTimestamp")
	if diff := cmp.Diff(want, template); diff != "" {
		t.Errorf("plain (-want +got):\n%s", diff)
	}
	before, after := Unmark(rs, d)
	if diff := cmp.Diff(before.Object, after.Object); diff != "" {
		t.Errorf("what bears no mark would be written:\n%s", diff)
	}
	cached, err := workload.Condense(marked.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	before, after = Unmark(cached.(*unstructured.Unstructured), d)
	path := []string{"spec", "template", "metadata", "annotations", annotationFormer}
	if _, had, _ := unstructured.NestedString(before.Object, path...); !had {
		t.Error("before does not show the mark, so the patch would not remove it")
	}
	if _, has, _ := unstructured.NestedString(after.Object, path...); has {
		t.Error("after shows the mark")
	}
	if after.GetAnnotations()[annotationMax] != "5" {
		t.Errorf("size mark %q", after.GetAnnotations()[annotationMax])
	}
}

func TestMaxSurge(t *testing.T) {
	for name, tt := range map[string]struct {
		strategy map[string]any
		want     int
	}{
		"nothing said": {nil, 1},
		"a number":     {map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": int64(3)}}, 3},
		"a share, up":  {map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": "30%"}}, 2},
		"none":         {map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": int64(0)}}, 0},
		"Recreate":     {map[string]any{"type": "Recreate"}, 0},
		"nonsense":     {map[string]any{"rollingUpdate": map[string]any{"maxSurge": "many"}}, 0},
	} {
		d := workloadtest.Object(t, workloadtest.Shop)
		if tt.strategy != nil {
			_ = unstructured.SetNestedMap(d.Object, tt.strategy, "spec", "strategy")
		}
		if got := maxSurge(d); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestReadTrack(t *testing.T) {
	failing := []any{map[string]any{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}}
	for name, tt := range map[string]struct {
		generation int64
		size       int64
		status     map[string]any
		want       release.Track
	}{
		"no report yet": {1, 3, nil, release.Track{Exists: true, Desired: 3, Pods: 3}},
		"full":          {1, 3, map[string]any{"observedGeneration": int64(1), "replicas": int64(3), "availableReplicas": int64(3)}, release.Track{Exists: true, Desired: 3, Pods: 3, Ready: 3}},
		"on the way down: what goes is no capacity": {
			2, 1,
			map[string]any{"observedGeneration": int64(2), "replicas": int64(3), "availableReplicas": int64(3)},
			release.Track{Exists: true, Desired: 1, Pods: 3, Ready: 1},
		},
		"empty": {2, 0, map[string]any{"observedGeneration": int64(2), "replicas": int64(0)}, release.Track{Exists: true}},
		"empty as of before it was scaled: not taken for gone": {
			3, 2,
			map[string]any{"observedGeneration": int64(2), "replicas": int64(0)},
			release.Track{Exists: true, Desired: 2, Pods: 2},
		},
		"to go, and not looked at": {
			3, 0,
			map[string]any{"observedGeneration": int64(2), "replicas": int64(0)},
			release.Track{Exists: true, Pods: 1},
		},
		"cannot": {1, 3, map[string]any{"observedGeneration": int64(1), "replicas": int64(0), "conditions": failing}, release.Track{Exists: true, Desired: 3, Problem: "exceeded quota"}},
	} {
		rs := Next(workloadtest.Object(t, workloadtest.Shop), owner, marks, "5d41402abc", int(tt.size))
		rs.SetGeneration(tt.generation)
		if tt.status != nil {
			rs.Object["status"] = tt.status
		}
		if diff := cmp.Diff(tt.want, ReadTrack(rs, "d-1")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := ReadTrack(nil, "d-1"); got != (release.Track{}) {
		t.Errorf("none: %+v", got)
	}
	d := workloadtest.Object(t, workloadtest.Shop)
	if !ReadTrack(HandedOver(Next(d, owner, marks, "5d41402abc", 1), d), "d-1").Adopted {
		t.Error("the Deployment's own is not seen as adopted")
	}
}

func TestUpdating(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	own := func(name string, size, pods int64) *unstructured.Unstructured {
		rs := HandedOver(Next(d, owner, nil, "5d41402abc", int(size)), d)
		rs.SetName(name)
		rs.Object["status"] = map[string]any{"replicas": pods}
		return rs
	}
	foreign := Next(d, owner, marks, "5d41402abc", 2)
	for name, tt := range map[string]struct {
		generation int64
		sets       []*unstructured.Unstructured
		want       bool
	}{
		"one full":                  {0, []*unstructured.Unstructured{own("a", 4, 4), own("b", 0, 0)}, false},
		"two full":                  {0, []*unstructured.Unstructured{own("a", 2, 2), own("b", 2, 2)}, true},
		"the last old pods":         {0, []*unstructured.Unstructured{own("a", 4, 4), own("b", 0, 1)}, true},
		"a release's own is none":   {0, []*unstructured.Unstructured{own("a", 4, 4), foreign}, false},
		"a change not yet taken up": {5, []*unstructured.Unstructured{own("a", 4, 4)}, true},
	} {
		d := d.DeepCopy()
		d.SetGeneration(tt.generation)
		shown := workload.World{Rollout: &v1alpha1.Rollout{}, Object: d, Owned: tt.sets}
		if got := New().Read(shown).Updating; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestNames(t *testing.T) {
	rs := func(name string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetName(name)
		return u
	}
	long := strings.Repeat("long-", 11) + "abc" // 58 characters, which Kubernetes cuts a pod's name after.
	for _, tt := range []struct {
		set, pod string
		want     bool
	}{
		{"shop-abc", "shop-abc-x2k4v", true},
		{"shop-abc", "shop-abcd-x2k4v", false},
		{"shop", "shop-abc-x2k4v", false},
		{"shop-abc", "shop-abc-", false},
		{long, long + "x2k4v", true},
		{long, long + "-x2k4v", false},
		{long + "-9tm7s", long + "x2k4v", true},
	} {
		if got := Names(rs(tt.set), tt.pod); got != tt.want {
			t.Errorf("%s, pod %s: %v, want %v", tt.set, tt.pod, got, tt.want)
		}
	}
}
