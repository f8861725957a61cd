package sim

import "github.com/sluice-dev/sluice/internal/release"

// changeMutants do not heed what the team changes beside the pod template.
func changeMutants() []Mutant {
	return []Mutant{
		{Name: "narrows by the hash alone", Row: "B1", Fumble: Fumble{HashOnly: true}},
		{
			Name: "in force by the number of pods", Row: "B1",
			Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
				for i := range o.Services {
					o.Services[i].ReadyStable = max(o.Services[i].ReadyStable, o.Workload.Replicas)
				}
			}),
		},
		{
			Name: "gives a Service back that selects nobody", Row: "B1",
			Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
				for i := range o.Services {
					o.Services[i].MissesStable, o.Services[i].MissesCanary = false, false
				}
			}),
		},
		{Name: "follows the steps that it saw first", Row: "B5", Fumble: Fumble{OldPlan: true, AtOnce: true}},
		{
			Name: "gives way to new steps after the first request", Row: "B5",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if o.PlanChanged && !m.StepReachedAt.IsZero() && m.End == release.NotEnding && m.Phase != release.Completing {
					out.Memory.Phase, out.Memory.End, out.Memory.EndMessage, out.Actions = release.Aborting, release.PlanChanged,
						"new steps", nil
				}
			}),
		},
	}
}
