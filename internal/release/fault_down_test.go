package release

import (
	"testing"
	"time"
)

// TestFaultB23EachServiceOnce: while new pods stand in for stable ones, every Service is pointed at them once in a turn,
// however many there are, in a step, in completion and in an abort.
func TestFaultB23EachServiceOnce(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for phase, m := range map[Phase]Memory{
		Progressing: {}, Completing: {}, Aborting: {End: AbortedByUser, EndMessage: "aborted by alice"},
	} {
		s := layered(Spec{
			From: "blue", To: "green", Steps: []Step{{Name: "step-1", Weight: 50}},
			ProgressDeadline: time.Minute, ReleaseDeadline: time.Hour, OnFailure: FailureAborts,
		}, "Ingress")
		o := Observed{
			Workload: Workload{Exists: true, Desired: "green", Replicas: 2, Held: true},
			Stable:   Track{Exists: true, Adopted: true, Desired: 2, Pods: 2},
			Canary:   Track{Exists: true, Desired: 2, Pods: 2, Ready: 2},
			Layers:   []Layer{{Name: "Ingress", Settled: true}},
		}
		for _, name := range []string{"shop", "shop-admin", "shop-metrics"} {
			o.Services = append(o.Services, Service{Name: name, Held: true, Selects: SelectsStable, CanaryExists: true, CanaryReady: 2})
		}
		m.Phase, m.StartedAt, m.StepStartedAt, m.DownSince = phase, now, now, now.Add(-time.Minute)
		out := Decide(s, o, m, now.Add(time.Second))
		pointed := map[string]int{}
		for _, a := range out.Actions {
			if a, is := a.(SelectService); is && a.To == SelectsCanary {
				pointed[a.Service]++
			}
		}
		if len(pointed) != 3 || pointed["shop"] != 1 || pointed["shop-admin"] != 1 || pointed["shop-metrics"] != 1 {
			t.Errorf("%s: pointed %v (%s: %s)", phase, pointed, out.Reason.Code, out.Reason.Message)
		}
	}
}
