package rollout

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

var update = flag.Bool("update", false, "write testdata anew from what happens now")

// TestWritesOfARelease is the controller's own transcript: every write of one release, in its order. Run it with -update when
// an order is meant to change, and read the difference.
func TestWritesOfARelease(t *testing.T) {
	for verb, file := range map[v1alpha1.DecisionVerb]string{
		v1alpha1.VerbPromote: "testdata/promoted.txt", v1alpha1.VerbAbort: "testdata/aborted.txt",
	} {
		c := underWay(t)
		play(c, verb)
		got := strings.Join(c.writes, "\n") + "\n"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("writes of %s (-want +got):\n%s", file, diff)
		}
	}
}

// underWay is a cluster in which a release of shop:v2 has been asked for: 25%, then 50% until somebody promotes.
func underWay(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, team(canary(25, 50))...)
	c.settle()
	c.setImage("shop:v2")
	c.writes = nil
	return c
}

// play takes a release of shop:v2 to its end: somebody promotes or aborts it at its second step.
func play(c *cluster, verb v1alpha1.DecisionVerb) {
	c.t.Helper()
	c.settle()
	c.decide(verb, "shop-1")
	c.settle()
}

// ends are the two ways in which play ends.
var ends = map[v1alpha1.DecisionVerb]v1alpha1.ReleasePhase{
	v1alpha1.VerbPromote: v1alpha1.ReleaseSucceeded,
	v1alpha1.VerbAbort:   v1alpha1.ReleaseAborted,
}

// TestFaultAtEveryWrite: whatever happens to any one write of a release, and whether or not the process dies with it,
// the end is the same.
func TestFaultAtEveryWrite(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "it", nil)
	for name, fault := range map[string]struct {
		err         error
		commit, die bool
		// every so-manyth write: the first is tried at each.
		every int
	}{
		"the process dies after it":    {errLost, true, true, 1},
		"its answer is lost":           {errLost, true, false, 3},
		"it is lost":                   {errLost, false, false, 4},
		"it is refused for a conflict": {conflict, false, false, 5},
	} {
		if testing.Short() {
			fault.every *= 5
		}
		for verb, phase := range ends {
			t.Run(name+"/"+string(verb), func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n += fault.every {
					c, hit := underWay(t), ""
					c.failure = func(i int, write string) (error, bool) {
						if i != n {
							return nil, false
						}
						hit = write
						if fault.die {
							c.restart()
						}
						return fault.err, fault.commit
					}
					play(c, verb)
					c.expectEnd(fmt.Sprintf("write %d (%s): %s", n, hit, name), phase)
					if hit == "" {
						return
					}
				}
			})
		}
	}
}

// expectEnd checks that a release of shop:v2 has ended like this, with nothing left behind.
func (c *cluster) expectEnd(what string, phase v1alpha1.ReleasePhase) {
	c.t.Helper()
	rel := c.release("shop-1")
	if rel == nil || rel.Status.Phase != phase {
		c.t.Errorf("%s: the release should be %s; %s", what, phase, c.tells())
		return
	}
	image, pods, rollout := "shop:v2", map[string]int{"shop:v2": 4}, v1alpha1.RolloutHealthy
	if phase != v1alpha1.ReleaseSucceeded {
		pods, rollout = map[string]int{"shop:v1": 4}, v1alpha1.RolloutRejected
	}
	c.expectPods(what, pods)
	c.expectNothingLeft(what)
	d := c.deployment()
	if got := workload.TemplateOf(d).Images[0].Image; got != image {
		c.t.Errorf("%s: the workload's image is %s, want %s", what, got, image)
	}
	if held := phase != v1alpha1.ReleaseSucceeded; deployment.Paused(d) != held || (d.GetAnnotations()[v1alpha1.AnnotationHeld] != "") != held {
		c.t.Errorf("%s: paused %v, annotations %v; want held %v", what, deployment.Paused(d), d.GetAnnotations(), held)
	}
	if got := c.rollout().Status.Phase; got != rollout {
		c.t.Errorf("%s: the Rollout is %s, want %s", what, got, rollout)
	}
	decisions := &v1alpha1.DecisionList{}
	if err := c.store.List(c.t.Context(), decisions); err != nil {
		c.t.Fatal(err)
	}
	for _, d := range decisions.Items {
		if d.Status.Outcome != v1alpha1.DecisionApplied {
			c.t.Errorf("%s: decision %s: %+v", what, d.Name, d.Status)
		}
	}
	answered := 0
	for _, e := range rel.Status.Timeline {
		if e.User == "bob" {
			answered++
		}
	}
	if answered != 1 {
		c.t.Errorf("%s: %d entries of bob's in the timeline, want 1: %v", what, answered, rel.Status.Timeline)
	}
}

// expectPods checks how many pods of each image run.
func (c *cluster) expectPods(what string, want map[string]int) {
	c.t.Helper()
	got := map[string]int{}
	for _, rs := range c.sets() {
		if n := deployment.ReadTrack(&rs, "").Pods; n > 0 {
			got[workload.TemplateOf(&rs).Images[0].Image] += n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("%s: pods (-want +got):\n%s", what, diff)
	}
}

// expectNothingLeft checks that the team's traffic objects are as they were and that there are no others.
func (c *cluster) expectNothingLeft(what string) {
	c.t.Helper()
	for _, o := range c.all() {
		switch o := o.(type) {
		case *v1alpha1.Hold:
			c.t.Errorf("%s: left behind: Hold %s", what, o.Name)
		case *corev1.Service:
			if diff := cmp.Diff(map[string]string{"app": shop}, o.Spec.Selector); o.Name != "web" || diff != "" {
				c.t.Errorf("%s: Service %s, selector (-want +got):\n%s", what, o.Name, diff)
			}
		case *networkingv1.Ingress:
			if o.Name != "web" {
				c.t.Errorf("%s: left behind: Ingress %s", what, o.Name)
			}
		}
	}
}
