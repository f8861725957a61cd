package translate

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// ingressSettle is what the layer of an Ingress needs to follow; that of an HTTPRoute says so by its objects.
const ingressSettle = 7 * time.Second

// needing is a layer that needs something, and has nothing else.
type needing struct {
	traffic.Provider
	needs traffic.Needs
}

func (n needing) Needs() traffic.Needs { return n.needs }

var kinds = LayerKinds{
	{Field: "ingress", New: func(v1alpha1.TrafficLayer) traffic.Provider {
		return needing{needs: traffic.Needs{Settle: ingressSettle}}
	}},
	{Field: "httpRoute", New: func(v1alpha1.TrafficLayer) traffic.Provider { return needing{} }},
}

func planned(r *v1alpha1.Rollout) v1alpha1.ReleasePlan { return Plan(r, kinds) }

func shop() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{
		Workload: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "shop"},
		Traffic: []v1alpha1.TrafficLayer{
			{Ingress: &v1alpha1.IngressReference{Name: "web"}},
			{HTTPRoute: &v1alpha1.HTTPRouteReference{Name: "api"}},
		},
		Canary: v1alpha1.CanaryStrategy{Steps: []v1alpha1.CanaryStep{
			{Name: "smoke", Weight: ptr.To(int32(0)), Match: []v1alpha1.RequestMatch{{
				Headers: []v1alpha1.HeaderMatch{{Name: "X-Canary", Value: "always"}, {Name: "X-Team", Regex: "a|b"}},
				Cookies: []v1alpha1.CookieMatch{{Name: "canary", Value: "always"}},
			}}},
			{Weight: ptr.To(int32(20)), Replicas: new(intstr.FromInt32(3)), Pause: &v1alpha1.Pause{}},
			{Weight: ptr.To(int32(50)), Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: time.Minute}}},
		}},
	}}
}

func TestDefaults(t *testing.T) {
	ro := shop()
	before := ro.DeepCopy()
	p := planned(ro)
	if diff := cmp.Diff(before, ro); diff != "" {
		t.Errorf("the Rollout was changed:\n%s", diff)
	}
	want := shop().Spec
	want.Traffic[0].Ingress.Settle = &metav1.Duration{Duration: ingressSettle}
	want.Canary.Steps[1].Name, want.Canary.Steps[2].Name = "step-2", "step-3"
	if diff := cmp.Diff(v1alpha1.ReleasePlan{
		Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"},
		Traffic:  want.Traffic, Steps: want.Canary.Steps,
		OnFailure: v1alpha1.FailureAbort, OnAbort: v1alpha1.AbortKeep,
		ProgressDeadline: metav1.Duration{Duration: 10 * time.Minute},
		ReleaseDeadline:  metav1.Duration{Duration: 7 * 24 * time.Hour},
		DrainDelay:       metav1.Duration{Duration: 5 * time.Second},
	}, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsSaidStays(t *testing.T) {
	ro := shop()
	ro.Spec.OnFailure, ro.Spec.OnAbort = v1alpha1.FailurePause, v1alpha1.AbortRevert
	ro.Spec.DrainDelay = &metav1.Duration{} // None is a word, too.
	ro.Spec.Traffic[0].Ingress.Settle = &metav1.Duration{Duration: time.Second}
	p := planned(ro)
	if p.OnFailure != v1alpha1.FailurePause || p.OnAbort != v1alpha1.AbortRevert || p.DrainDelay.Duration != 0 || p.Traffic[0].Ingress.Settle.Duration != time.Second {
		t.Errorf("%+v", p)
	}
}

func TestSpec(t *testing.T) {
	got := Spec(planned(shop()), "a", "b")
	want := release.Spec{
		From: "a", To: "b", Divide: release.ByLayers,
		Traits:           release.Traits{Beside: true, Finish: release.ByHandOver, Apart: release.ByLabel},
		OnFailure:        release.FailurePolicy(v1alpha1.FailureAbort),
		ProgressDeadline: 10 * time.Minute, ReleaseDeadline: 7 * 24 * time.Hour, DrainDelay: 7 * time.Second, Settle: 7 * time.Second,
		Layers: []string{"ingress/web", "httproute/api"},
		Steps: []release.Step{
			{Name: "smoke", Matches: []release.Match{{
				Headers: []release.HeaderMatch{{Name: "X-Canary", Value: "always"}, {Name: "X-Team", Regex: "a|b"}},
				Cookies: []release.CookieMatch{{Name: "canary", Value: "always"}},
			}}},
			{Name: "step-2", Weight: 20, Replicas: 3, Pause: release.Pause{Kind: release.PauseManual}},
			{Name: "step-3", Weight: 50, Pause: release.Pause{Kind: release.PauseTimed, Duration: time.Minute}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ro := shop()
	ro.Spec.Traffic[0].Ingress.Settle = &metav1.Duration{Duration: time.Minute}
	if got := Spec(planned(ro), "a", "b").DrainDelay; got != time.Minute {
		t.Errorf("the drain is %s, shorter than a layer takes to follow", got)
	}
}

// TestDigest: whatever a person may have seen of a plan, another plan has another digest.
func TestDigest(t *testing.T) {
	from, to := v1alpha1.Revision{Hash: "a"}, v1alpha1.Revision{Hash: "b", Images: []v1alpha1.ContainerImage{{Container: "web", Image: "shop:v2"}}}
	before := Digest(planned(shop()), from, to)
	seen := map[string]string{before: "as it was"}
	if again := Digest(planned(shop()), from, to); again != before {
		t.Fatalf("a digest does not stay the same: %s, %s", before, again)
	}
	note := func(what, digest string) {
		if other, had := seen[digest]; had {
			t.Errorf("%s: the same digest as %s", what, other)
		}
		seen[digest] = what
	}
	for what, edit := range map[string]func(*v1alpha1.ReleasePlan){
		"workload":         func(p *v1alpha1.ReleasePlan) { p.Workload.Name = "other" },
		"layer":            func(p *v1alpha1.ReleasePlan) { p.Traffic[1].HTTPRoute.Name = "other" },
		"no layer":         func(p *v1alpha1.ReleasePlan) { p.Traffic = nil },
		"settle":           func(p *v1alpha1.ReleasePlan) { p.Traffic[0].Ingress.Settle.Duration++ },
		"weight":           func(p *v1alpha1.ReleasePlan) { p.Steps[1].Weight = ptr.To(int32(21)) },
		"replicas":         func(p *v1alpha1.ReleasePlan) { p.Steps[1].Replicas = nil },
		"pause":            func(p *v1alpha1.ReleasePlan) { p.Steps[1].Pause = nil },
		"pause's length":   func(p *v1alpha1.ReleasePlan) { p.Steps[2].Pause.Duration.Duration++ },
		"match":            func(p *v1alpha1.ReleasePlan) { p.Steps[0].Match[0].Headers[0].Value = "never" },
		"cookie":           func(p *v1alpha1.ReleasePlan) { p.Steps[0].Match[0].Cookies = nil },
		"step's name":      func(p *v1alpha1.ReleasePlan) { p.Steps[2].Name = "half" },
		"one step fewer":   func(p *v1alpha1.ReleasePlan) { p.Steps = p.Steps[:2] },
		"onFailure":        func(p *v1alpha1.ReleasePlan) { p.OnFailure = v1alpha1.FailurePause },
		"onAbort":          func(p *v1alpha1.ReleasePlan) { p.OnAbort = v1alpha1.AbortRevert },
		"progressDeadline": func(p *v1alpha1.ReleasePlan) { p.ProgressDeadline.Duration++ },
		"releaseDeadline":  func(p *v1alpha1.ReleasePlan) { p.ReleaseDeadline.Duration++ },
		"drainDelay":       func(p *v1alpha1.ReleasePlan) { p.DrainDelay.Duration++ },
	} {
		p := planned(shop())
		edit(&p)
		note(what, Digest(p, from, to))
	}
	note("from", Digest(planned(shop()), v1alpha1.Revision{Hash: "x"}, to))
	note("to", Digest(planned(shop()), from, v1alpha1.Revision{Hash: "x", Images: to.Images}))
	note("image", Digest(planned(shop()), from, v1alpha1.Revision{Hash: "b"}))
}

func TestLayerName(t *testing.T) {
	if got := LayerOf(v1alpha1.TrafficLayer{}).String(); got != "" {
		t.Errorf("a layer that names nothing is called %q", got)
	}
}

// TestEveryLayerIsRead: whichever kind of layer an entry names, its field, its name and what is said of it are read,
// and a plan is filled in with what the layer needs. New kinds need nothing here.
func TestEveryLayerIsRead(t *testing.T) {
	fields := reflect.TypeFor[v1alpha1.TrafficLayer]()
	for i := range fields.NumField() {
		field, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		l := v1alpha1.TrafficLayer{}
		of := reflect.New(fields.Field(i).Type.Elem())
		reflect.ValueOf(&l).Elem().Field(i).Set(of)
		of.Elem().FieldByName("Name").SetString("Shop")
		of.Interface().(interface{ Options() *v1alpha1.LayerOptions }).Options().Confirm = v1alpha1.ConfirmBySettle
		got := LayerOf(l)
		if got.Field != field || got.Name != "Shop" || got.Confirm != v1alpha1.ConfirmBySettle || got.Settle != nil {
			t.Errorf("%s is read as %+v", field, got)
		}
		if want := strings.ToLower(field) + "/Shop"; got.String() != want {
			t.Errorf("%s is called %q, want %q", field, got.String(), want)
		}
		slow := LayerKinds{{Field: field, New: func(v1alpha1.TrafficLayer) traffic.Provider {
			return needing{needs: traffic.Needs{Settle: time.Minute}}
		}}}
		ro := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Traffic: []v1alpha1.TrafficLayer{l}}}
		if got := LayerOf(Plan(ro, slow).Traffic[0]).Settle; got == nil || got.Duration != time.Minute {
			t.Errorf("%s: the plan gives it %v to follow", field, got)
		}
	}
}
