// Package translate turns the API's words into the core's: a Rollout into the plan that a Release freezes, and
// that plan into a release.Spec. The controller and the command line share it, so that `sluice plan` shows what
// the controller will do.
//
// It may import api, release and traffic, and nothing else of Sluice's.
package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// Defaults of a Rollout's fields.
const (
	DefaultProgressDeadline = 10 * time.Minute
	DefaultReleaseDeadline  = 7 * 24 * time.Hour
	DefaultDrainDelay       = 5 * time.Second
	DefaultHistoryLimit     = 10
)

// Plan is what a release of this Rollout follows, with every default filled in. The layers' own are those of kinds.
func Plan(r *v1alpha1.Rollout, kinds LayerKinds) v1alpha1.ReleasePlan {
	s := r.Spec.DeepCopy()
	if s.Workload.APIVersion == "" {
		s.Workload.APIVersion = "apps/v1"
	}
	p := v1alpha1.ReleasePlan{
		Workload:         s.Workload,
		Traffic:          s.Traffic,
		Services:         s.Services,
		Steps:            s.Canary.Steps,
		Analysis:         s.Canary.Analysis,
		KeepOld:          s.Canary.KeepOld,
		OnFailure:        orDefault(s.OnFailure, v1alpha1.FailureAbort),
		OnStableDown:     s.OnStableDown,
		OnAbort:          orDefault(s.OnAbort, v1alpha1.AbortKeep),
		ProgressDeadline: durationOr(s.ProgressDeadline, DefaultProgressDeadline),
		ReleaseDeadline:  durationOr(s.ReleaseDeadline, DefaultReleaseDeadline),
		DrainDelay:       durationOr(s.DrainDelay, DefaultDrainDelay),
	}
	if s.BlueGreen != nil {
		blueGreen(&p, s.BlueGreen)
	}
	kinds.fillSettle(p.Traffic)
	for i := range p.Steps {
		if p.Steps[i].Name == "" {
			p.Steps[i].Name = fmt.Sprintf("step-%d", i+1)
		}
		fillApproval(p.Steps[i].Approval)
	}
	return p
}

// Spec is what the core is asked to do for a plan.
func Spec(p v1alpha1.ReleasePlan, from, to string) release.Spec {
	s := release.Spec{
		From: from, To: to,
		Divide:           Divide(p.Traffic, p.Switch),
		Traits:           traits[p.Workload.Kind],
		OnFailure:        release.FailurePolicy(p.OnFailure),
		OnStableDown:     release.StableDownPolicy(p.OnStableDown),
		Revert:           p.OnAbort == v1alpha1.AbortRevert,
		ProgressDeadline: p.ProgressDeadline.Duration,
		ReleaseDeadline:  p.ReleaseDeadline.Duration,
		DrainDelay:       p.DrainDelay.Duration,
		KeepOld:          durationOr(p.KeepOld, 0).Duration,
	}
	for _, l := range p.Traffic {
		layer := LayerOf(l)
		s.Layers = append(s.Layers, layer.String())
		if layer.Settle != nil { // Else the layer says.
			s.Settle = max(s.Settle, layer.Settle.Duration)
		}
		s.DrainDelay = max(s.DrainDelay, s.Settle) // Gateways learn of endpoints as late as of routes.
	}
	for _, st := range p.Steps {
		s.Steps = append(s.Steps, step(st))
	}
	if p.Analysis != nil {
		s.Background, s.BackgroundFrom = true, backgroundFrom(p)
	}
	return s
}

// Digest is what a Decision names to say which plan its author saw: SHA-256 over the plan and the revisions.
func Digest(p v1alpha1.ReleasePlan, from, to v1alpha1.Revision) string {
	raw, err := json.Marshal(struct {
		Plan     v1alpha1.ReleasePlan
		From, To string
		Images   []v1alpha1.ContainerImage
	}{p, from.Hash, to.Hash, to.Images})
	if err != nil { // Plain values always marshal.
		return ""
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func step(s v1alpha1.CanaryStep) release.Step {
	out := release.Step{
		Name: s.Name, Matches: Matches(s.Match), Analysis: s.Analysis != nil,
		Approval: approval(s.Approval),
	}
	if s.Weight != nil {
		out.Weight = int(*s.Weight)
	}
	switch r := s.Replicas; {
	case r == nil:
	case r.Type == intstr.Int:
		out.Replicas = int(r.IntVal)
	default:
		share, err := strconv.Atoi(strings.TrimSuffix(r.StrVal, "%"))
		if out.Share = share; err != nil { // The CRD lets nothing else pass.
			out.Share = 100
		}
	}
	if s.Pause != nil {
		out.Pause = release.Pause{Kind: release.PauseManual}
		if s.Pause.Duration != nil {
			out.Pause = release.Pause{Kind: release.PauseTimed, Duration: s.Pause.Duration.Duration}
		}
	}
	return out
}

// RequestMatches are matches in the API's words.
func RequestMatches(in []release.Match) []v1alpha1.RequestMatch {
	var out []v1alpha1.RequestMatch
	for _, m := range in {
		var r v1alpha1.RequestMatch
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, v1alpha1.HeaderMatch{Name: h.Name, Value: h.Value, Regex: h.Regex})
		}
		for _, c := range m.Cookies {
			r.Cookies = append(r.Cookies, v1alpha1.CookieMatch{Name: c.Name, Value: c.Value})
		}
		out = append(out, r)
	}
	return out
}

// Matches are matches in the core's words.
func Matches(in []v1alpha1.RequestMatch) []release.Match {
	var out []release.Match
	for _, m := range in {
		var r release.Match
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, release.HeaderMatch{Name: h.Name, Value: h.Value, Regex: h.Regex})
		}
		for _, c := range m.Cookies {
			r.Cookies = append(r.Cookies, release.CookieMatch{Name: c.Name, Value: c.Value})
		}
		out = append(out, r)
	}
	return out
}

func orDefault[T ~string](v, d T) T {
	if v == "" {
		return d
	}
	return v
}

func durationOr(v *metav1.Duration, d time.Duration) metav1.Duration {
	if v == nil {
		return metav1.Duration{Duration: d}
	}
	return *v
}

// Leaves says whether the rules leave a Service as it is.
func Leaves(rules []v1alpha1.ServiceRule, service string) bool {
	return slices.ContainsFunc(rules, func(r v1alpha1.ServiceRule) bool {
		return r.Name == service && r.Policy == v1alpha1.ServiceLeave
	})
}
