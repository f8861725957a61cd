package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/view"
)

type planOptions struct {
	output
	files    []string
	images   []string
	replicas int
	offline  bool
}

// planned is what `plan` tells of one Rollout. Its JSON is for programs: durations are written as Go does ("1m30s").
type planned struct {
	Rollout  string `json:"rollout"`
	Workload string `json:"workload"`
	// holdAt is the step at which releases stop.
	holdAt string
	// Replicas is the number of pods that the numbers below are for, and ReplicasFrom says where it is known from:
	// "the file", "the cluster" or "--replicas".
	Replicas     int           `json:"replicas"`
	ReplicasFrom string        `json:"replicasFrom"`
	Images       []string      `json:"images,omitempty"`
	Steps        []plannedStep `json:"steps"`
	// Background tells what is measured all along.
	Background []string `json:"background,omitempty"`
	// ExtraPods is the most that runs at a time besides the workload's own. The steps follow each other, so it is the
	// largest of theirs and not the sum.
	ExtraPods int `json:"extraPods"`
	// AtLeast is the shortest time that the release takes, not counting the start of pods and waits for people.
	AtLeast string `json:"atLeast"`
	// Deadline is how long the release may take in all; then it is aborted.
	Deadline string `json:"deadline"`
	// Problems are what the controller would refuse: with any, nothing would move. Notes change nothing.
	Problems []string `json:"problems,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}

type plannedStep struct {
	Name       string   `json:"name"`
	Weight     int      `json:"weight"`
	Match      string   `json:"match,omitempty"`
	CanaryPods int      `json:"canaryPods"`
	StablePods int      `json:"stablePods"`
	ExtraPods  int      `json:"extraPods"`
	WaitsFor   []string `json:"waitsFor"`
	// Measures tells what its analysis measures.
	Measures []string `json:"measures,omitempty"`
	AtLeast  string   `json:"atLeast"`
	// AtMost is absent where only a person, or the release's deadline, ends the step.
	AtMost string `json:"atMost,omitempty"`
}

func newPlan(e *env) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan (NAME | -f FILE)",
		Short: "Show what a release would do, step by step, and what it costs, before anything moves",
		Long: `Show what a release would do: for each step the share of requests, the pods, what is waited for and for how long,
and how many pods it takes besides the workload's own. Nothing is changed.

The Rollout is the one in the cluster, or with -f the one in a file. With a cluster the workload and the traffic
objects are looked at as the controller would, and what it would refuse is told. Analysis templates are looked for in
the file, then in the cluster. Without a cluster, --replicas says how many pods to reckon with.`,
		Example: `  sluice plan shop
  sluice plan shop --image web=shop:v2
  sluice plan -f rollout.yaml --replicas 10`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if (len(args) == 1) == (len(o.files) > 0) {
				return fmt.Errorf("name a Rollout or a file: `%[1]s NAME` or `%[1]s -f FILE`", c.CommandPath())
			}
			return runPlan(c.Context(), e, args, o)
		},
	}
	o.bind(c, "json", "yaml")
	bindFiles(c, &o.files)
	c.Flags().StringArrayVar(&o.images, "image", nil, "CONTAINER=IMAGE that would be released; may be repeated")
	c.Flags().IntVar(&o.replicas, "replicas", -1, "Number of pods to reckon with. Default: the workload's")
	c.Flags().BoolVar(&o.offline, "offline", false, "Do not look at a cluster")
	return c
}

// runPlan shows all plans before it ends with a refusal: the plan is what helps to mend the Rollout.
func runPlan(ctx context.Context, e *env, args []string, o planOptions) error {
	var out []planned
	var err error
	if len(args) == 1 {
		out, err = e.planNamed(ctx, args[0], o)
	} else {
		out, err = e.planFiles(ctx, o)
	}
	if err != nil {
		return err
	}
	if err := e.showPlans(out, o); err != nil {
		return err
	}
	for _, p := range out {
		if len(p.Problems) > 0 {
			return no("rollout/%s would be refused: nothing would move", p.Rollout)
		}
	}
	return nil
}

func (e *env) planNamed(ctx context.Context, arg string, o planOptions) ([]planned, error) {
	c, ns, err := e.reach()
	if err != nil {
		return nil, err
	}
	t, err := resolve(ctx, c, ns, arg)
	if err != nil {
		return nil, err
	}
	if t.rollout == nil {
		return nil, fmt.Errorf("the Rollout %s of release %s is gone", t.release.Spec.Rollout, t.release.Name)
	}
	p, err := e.plan(ctx, c, t.rollout, &lint.Report{}, o)
	return []planned{p}, err
}

func (e *env) planFiles(ctx context.Context, o planOptions) ([]planned, error) {
	r, err := e.read(o.files)
	if err != nil {
		return nil, err
	}
	for _, p := range r.Problems {
		fmt.Fprintln(e.err, safeLines(fmt.Sprint(p)))
	}
	if len(r.Problems) > 0 {
		return nil, no("%s; nothing is planned before that is mended", count(len(r.Problems), "problem"))
	}
	if len(r.Rollouts) == 0 {
		return nil, fmt.Errorf("there is no Rollout in %s", strings.Join(o.files, ", "))
	}
	var c client.Client
	// Without a kubeconfig a file can be planned all the same; lookAround notes that no cluster was looked at.
	if !o.offline {
		if w, err := e.connect(); err == nil {
			c = w
		}
	}
	var out []planned
	for i := range r.Rollouts {
		if r.Rollouts[i].Namespace == "" {
			// kubectl apply would put it there.
			if r.Rollouts[i].Namespace, err = e.namespace(); err != nil {
				return nil, err
			}
		}
		p, err := e.plan(ctx, c, &r.Rollouts[i], r, o)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// plan reckons with the workload in the cluster, if there is one, or else in the file. An autoscaler may have changed
// the number of pods since the file was written.
func (e *env) plan(ctx context.Context, c client.Client, r *v1alpha1.Rollout, files *lint.Report,
	o planOptions,
) (planned, error) {
	p := planned{Rollout: r.Name, Workload: "deployment/" + r.Spec.Workload.Name, holdAt: r.Spec.HoldAt}
	d := inFiles(files.Deployments, r)
	w := e.lookAround(ctx, c, r, d != nil)
	p.Problems, p.Notes, p.ReplicasFrom = w.problems, w.notes, "the file"
	if w.deployment != nil {
		d, p.ReplicasFrom = w.deployment, "the cluster"
	}
	if err := p.demand(d, o); err != nil {
		return p, err
	}
	if err := p.change(d, o.images); err != nil {
		return p, err
	}
	frozen := translate.Plan(r, e.layers)
	p.reckon(frozen)
	p.measure(ctx, r, &frozen, templatesOf(c, r.Namespace, files))
	for i := range p.Problems {
		p.Problems[i] = translate.OwnFields(&r.Spec, p.Problems[i])
	}
	return p, nil
}

func inFiles(files []appsv1.Deployment, r *v1alpha1.Rollout) *appsv1.Deployment {
	for i := range files {
		if files[i].Name == r.Spec.Workload.Name && (files[i].Namespace == "" || files[i].Namespace == r.Namespace) {
			return &files[i]
		}
	}
	return nil
}

// demand is the number of pods to reckon with. A Deployment in a file may leave replicas out; the API server then
// puts 1.
func (p *planned) demand(d *appsv1.Deployment, o planOptions) error {
	switch {
	case o.replicas >= 0:
		p.Replicas, p.ReplicasFrom = o.replicas, "--replicas"
	case d != nil && d.Spec.Replicas != nil:
		p.Replicas = int(*d.Spec.Replicas)
	case d != nil:
		p.Replicas = 1
	default:
		return fmt.Errorf("%s is neither in the cluster nor in the file: say how many pods to reckon with, by --replicas N",
			p.Workload)
	}
	return nil
}

// change notes which images would be released. Without a Deployment they cannot be held against its containers, and
// are told as they were typed.
func (p *planned) change(d *appsv1.Deployment, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	if d == nil {
		p.Images = wanted
		return nil
	}
	changes, err := imageChanges(d, wanted)
	if err != nil {
		return err
	}
	for _, c := range changes {
		p.Images = append(p.Images, fmt.Sprintf("%s: %s -> %s", c.container, c.from, c.to))
	}
	return nil
}

// reckon asks the core, which is what the controller will ask.
func (p *planned) reckon(frozen v1alpha1.ReleasePlan) {
	spec := translate.Spec(frozen, "", "")
	for _, problem := range append(release.Validate(spec), release.ValidateHoldAt(spec, p.holdAt)...) {
		p.Problems = append(p.Problems, problem.String())
	}
	var least time.Duration
	for i, s := range release.Plan(spec, p.Replicas) {
		step := plannedStep{
			Name: s.Name, Weight: s.Weight, CanaryPods: s.CanaryPods, StablePods: s.StablePods, ExtraPods: s.ExtraPods,
			WaitsFor: s.WaitsFor, AtLeast: s.AtLeast.String(),
		}
		if s.Name == p.holdAt && p.holdAt != "" {
			step.WaitsFor = append(step.WaitsFor, "spec.holdAt of the Rollout to name a later step, or none")
		}
		if i < len(frozen.Steps) {
			step.Match = view.MatchText(frozen.Steps[i].Match)
		}
		if s.AtMost > 0 {
			step.AtMost = s.AtMost.String()
		}
		least += s.AtLeast
		p.ExtraPods = max(p.ExtraPods, s.ExtraPods)
		p.Steps = append(p.Steps, step)
	}
	p.AtLeast, p.Deadline = least.String(), frozen.ReleaseDeadline.Duration.String()
}

func (e *env) showPlans(all []planned, o planOptions) error {
	if o.machine() {
		if len(all) == 1 {
			return o.encode(e.out, all[0])
		}
		return o.encode(e.out, all)
	}
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		p.write(&b, e.paint)
	}
	_, err := fmt.Fprint(e.out, b.String())
	return err
}

func (p *planned) write(b *strings.Builder, paint painter) {
	fmt.Fprint(b, safef("%s releases %s, reckoned with %s (from %s)\n", paint.in(bold, "rollout/"+p.Rollout), p.Workload,
		count(p.Replicas, "pod"), p.ReplicasFrom))
	for _, i := range p.Images {
		fmt.Fprint(b, safef("  image  %s\n", i))
	}
	b.WriteString("\n")
	t := table{indent: "  ", gap: 3}
	t.row(cell{"", plain}, cell{"STEP", dim}, cell{"WEIGHT", dim}, cell{"STABLE", dim}, cell{"CANARY", dim},
		cell{"EXTRA", dim}, cell{"GOES ON WHEN", dim})
	for i, s := range p.Steps {
		for j, w := range s.WaitsFor {
			if j > 0 {
				t.row(cell{}, cell{}, cell{}, cell{}, cell{}, cell{}, cell{"and " + w, plain})
				continue
			}
			t.row(cell{fmt.Sprint(i + 1), dim}, cell{s.Name, bold}, cell{fmt.Sprintf("%d%%", s.Weight), plain},
				cell{fmt.Sprint(s.StablePods), plain},
				cell{fmt.Sprint(s.CanaryPods), plain}, cell{fmt.Sprintf("+%d", s.ExtraPods), plain}, cell{w, plain})
		}
		if s.Match != "" {
			t.row(cell{}, cell{}, cell{}, cell{}, cell{}, cell{}, cell{"requests by weight " + s.Match, dim})
		}
		for _, m := range s.Measures {
			t.row(cell{}, cell{}, cell{}, cell{}, cell{}, cell{}, cell{"measures " + m, dim})
		}
	}
	t.write(b, paint)
	p.sum(b, paint)
}

// sum tells the cost, the time, and what stands in the way.
func (p *planned) sum(b *strings.Builder, paint painter) {
	b.WriteString("\n")
	t := table{indent: "  ", gap: 2}
	t.row(cell{"cost", dim}, cell{fmt.Sprintf("at most %s besides the workload's own %d", count(p.ExtraPods, "pod"),
		p.Replicas), plain})
	t.row(cell{"time", dim}, cell{fmt.Sprintf("at least %s, without the start of pods and waits for people; aborted "+
		"after %s at the latest",
		short(p.AtLeast), short(p.Deadline)), plain})
	for _, m := range p.Background {
		t.row(cell{"beside", dim}, cell{"measures " + m, plain})
	}
	for _, n := range p.Notes {
		t.row(cell{"note", yellow}, cell{n, plain})
	}
	for _, problem := range p.Problems {
		t.row(cell{"refused", red}, cell{problem, plain})
	}
	t.write(b, paint)
}

// short writes a duration for people.
func short(s string) string {
	d, err := time.ParseDuration(s)
	if err != nil {
		return s
	}
	if d < time.Minute {
		return d.String()
	}
	return duration.HumanDuration(d)
}
