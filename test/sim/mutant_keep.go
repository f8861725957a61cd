package sim

import (
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
)

// keepMutants mistake the Services' own change-over, or old pods that are kept.
func keepMutants() []Mutant {
	keeps := func(o release.Observed, m release.Memory) bool {
		return m.Phase == release.Completing && m.HandedOver && o.Canary.Adopted && o.Stable.Taken && o.Stable.Desired > 0
	}
	recalls := func(o release.Observed, out *release.Outcome) bool {
		return out.Memory.Phase == release.Aborting && o.Stable.Taken && o.Workload.Exists && o.Workload.Replicas > 0
	}
	all := slices.Concat(oldPodMutants(keeps, recalls), []Mutant{
		{Name: "the switch comes a step too early", Row: "K7", Mind: plans(func(s *release.Spec) {
			for i := range s.Steps {
				if s.Divide == release.BySelector {
					s.Steps[i].Weight = 100
				}
			}
		})},
		{
			Name: "the switch counts before its endpoints show", Row: "K7",
			Mind: lies(func(s release.Spec, o *release.Observed, _ *release.Memory) {
				for i := range o.Services {
					if sv := &o.Services[i]; s.Divide == release.BySelector && sv.Selects == release.SelectsCanary {
						sv.ReadyCanary = o.Workload.Replicas
					}
				}
			}),
		},
		{
			Name: "a Service is given back while old pods are kept", Row: "K5",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if keeps(o, m) && len(out.Actions) == 0 && len(o.Services) > 0 {
					out.Actions = append(out.Actions, release.SelectService{Service: o.Services[0].Name, To: release.SelectsAll})
				}
			}),
		},
		{
			Name: "a Service is led to old pods that are kept", Row: "K5",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if keeps(o, m) && len(out.Actions) == 0 && len(o.Services) > 0 {
					out.Actions = append(out.Actions,
						release.SelectService{Service: o.Services[0].Name, To: release.SelectsStable})
				}
			}),
		},
		{
			Name: "on the way back the Services stay on the new pods", Row: "K8",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if recalls(o, out) {
					out.Actions = slices.DeleteFunc(out.Actions,
						func(a release.Action) bool { _, is := a.(release.SelectService); return is })
				}
			}),
		},
	})
	for i := range all {
		all[i].Keeps = true
	}
	return all
}

// oldPodMutants mistake the old ReplicaSet.
func oldPodMutants(keeps func(release.Observed, release.Memory) bool,
	recalls func(release.Observed, *release.Outcome) bool,
) []Mutant {
	return []Mutant{
		{
			Name: "old pods end while a Service leads to them", Row: "K3",
			Mind: lies(func(_ release.Spec, o *release.Observed, m *release.Memory) {
				for i := range o.Services {
					if keeps(*o, *m) {
						o.Services[i].Selects, o.Services[i].ReadyStable = release.SelectsCanary, 0
					}
				}
			}),
		},
		{
			Name: "old pods end on the way back to them", Row: "K3",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if recalls(o, out) && o.Stable.Desired > 0 {
					out.Actions = []release.Action{release.ScaleOld{}}
				}
			}),
		},
		{
			Name: "the way back starts old pods of its own", Row: "K8",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if recalls(o, out) && o.Stable.Desired == o.Workload.Replicas {
					out.Actions = append(out.Actions, release.ScaleOld{Replicas: o.Workload.Replicas + 1})
				}
			}),
		},
		{
			Name: "on the way back the workload has no pods for a moment", Row: "K8",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if recalls(o, out) && o.Workload.Held && o.Canary.Adopted {
					out.Actions = []release.Action{release.TakeBack{}}
				}
			}),
		},
		{
			Name: "the old ReplicaSet is never given back", Row: "K1",
			Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory, out *release.Outcome) {
				out.Actions = slices.DeleteFunc(out.Actions,
					func(a release.Action) bool { _, is := a.(release.GiveOld); return is })
			}),
		},
		{
			Name: "a release ends with its old ReplicaSet taken", Row: "K1",
			Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
				o.Stable.Taken = o.Stable.Taken && o.Stable.Desired > 0
			}),
		},
		{Name: "the old ReplicaSet is given back without a mark", Row: "K1", Fumble: Fumble{BareReturn: true}},
		{
			Name: "handed over without the old one being taken", Row: "K2",
			Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory, out *release.Outcome) {
				for i, a := range out.Actions {
					if _, is := a.(release.HandOver); is {
						out.Actions[i] = release.HandOver{}
					}
				}
			}),
		},
		{
			Name: "old pods are kept for a workload of none", Row: "K4",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				out.Actions = slices.DeleteFunc(out.Actions, func(a release.Action) bool {
					_, is := a.(release.ScaleOld)
					return is && o.Workload.Exists && o.Workload.Replicas == 0
				})
			}),
		},
	}
}
