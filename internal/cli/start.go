package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/view"
)

func newStart(e *env) *cobra.Command {
	var wanted []string
	c := &cobra.Command{
		Use:   "start NAME --image [CONTAINER=]IMAGE",
		Short: "Start a release by giving the workload's containers other images",
		Long: `Start a release by giving the workload's containers other images, as "kubectl set image" does: the pod
template is changed in your name, the change is held, and a release takes it through the Rollout's steps.
CONTAINER may be left out where there is only one.`,
		Example: `  sluice start shop --image web=shop:v2
  sluice start shop --image web=shop:v2 --image log=shipper:v9`,
		Args:              oneName,
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if len(wanted) == 0 {
				return fmt.Errorf("say what to release: `%s --image CONTAINER=IMAGE`", c.CommandPath()+" "+args[0])
			}
			return runStart(c.Context(), e, args[0], wanted)
		},
	}
	c.Flags().StringArrayVar(&wanted, "image", nil, "CONTAINER=IMAGE to release; may be repeated")
	return c
}

func runStart(ctx context.Context, e *env, arg string, wanted []string) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	t, err := resolve(ctx, c, ns, arg)
	if err != nil {
		return err
	}
	if t.rollout == nil {
		return fmt.Errorf("the Rollout %s of release %s is gone", t.release.Spec.Rollout, t.release.Name)
	}
	var d appsv1.Deployment
	name := t.rollout.Spec.Workload.Name
	if err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, &d); err != nil {
		return fmt.Errorf("read deployment/%s, the workload of rollout %s: %w", name, t.rollout.Name, err)
	}
	changes, err := imageChanges(&d, wanted)
	if err != nil {
		return err
	}
	if err := startable(t, &d, changes); err != nil {
		return err
	}
	// A strategic merge patch finds a container by its name, so nothing that others change meanwhile is overwritten.
	// The field owner tells these changes in managedFields from those of kubectl.
	if err := c.Patch(ctx, &d, client.RawPatch(types.StrategicMergePatchType, imagePatch(changes)),
		client.FieldOwner("sluice-start")); err != nil {
		return err
	}
	return e.tellStarted(t, &d, changes)
}

// imageChange gives one container another image. init tells in which of a pod's two lists of containers it stands.
type imageChange struct {
	container, from, to string
	init                bool
}

// imageChanges reads --image against the containers that there are. An image without a container's name is taken only
// where there is one container: among several a guess could release the wrong image.
func imageChanges(d *appsv1.Deployment, wanted []string) ([]imageChange, error) {
	spec := d.Spec.Template.Spec
	var out []imageChange
	for _, w := range wanted {
		container, image, found := strings.Cut(w, "=")
		if !found {
			container, image = "", w
			if len(spec.Containers) == 1 {
				container = spec.Containers[0].Name
			}
		}
		if image == "" {
			return nil, fmt.Errorf("--image %s: the image is missing; write CONTAINER=IMAGE", w)
		}
		change, err := imageOf(spec, container)
		if err != nil {
			return nil, fmt.Errorf("--image %s: %w of deployment/%s; its containers are: %s", w, err, d.Name,
				containerList(spec))
		}
		change.to = image
		out = append(out, change)
	}
	return out, nil
}

func imageOf(spec corev1.PodSpec, container string) (imageChange, error) {
	if container == "" {
		return imageChange{}, fmt.Errorf("name the container, as --image %s=IMAGE,", spec.Containers[0].Name)
	}
	for _, c := range spec.Containers {
		if c.Name == container {
			return imageChange{container: container, from: c.Image}, nil
		}
	}
	for _, c := range spec.InitContainers {
		if c.Name == container {
			return imageChange{container: container, from: c.Image, init: true}, nil
		}
	}
	return imageChange{}, fmt.Errorf("%q is no container", container)
}

func containerList(spec corev1.PodSpec) string {
	var out []string
	for _, c := range spec.Containers {
		out = append(out, c.Name+" ("+c.Image+")")
	}
	for _, c := range spec.InitContainers {
		out = append(out, c.Name+" (init, "+c.Image+")")
	}
	return strings.Join(out, ", ")
}

// startable refuses what would not become a release. The admission policy holds only changes of Deployments with the
// label, and an image that is there already changes no pod template.
func startable(t target, d *appsv1.Deployment, changes []imageChange) error {
	if d.Labels[v1alpha1.LabelRollout] != t.rollout.Name {
		return no("rollout %s has not taken deployment/%s over yet (%s), so the change would roll out at once; see `sluice get %s`",
			t.rollout.Name, d.Name, t.rollout.Status.Phase, t.rollout.Name)
	}
	for _, c := range changes {
		if c.from != c.to {
			return nil
		}
	}
	if t.rollout.Status.Phase == v1alpha1.RolloutRejected {
		return no("deployment/%s has that image already, and it was rejected; to try it again: `sluice retry %s`", d.Name, t.rollout.Name)
	}
	return no("deployment/%s has that image already; there is nothing to release", d.Name)
}

// imagePatch names the containers that change and nothing else. Init containers are a list of their own in a pod.
func imagePatch(changes []imageChange) []byte {
	lists := map[string][]map[string]string{}
	for _, c := range changes {
		key := "containers"
		if c.init {
			key = "initContainers"
		}
		lists[key] = append(lists[key], map[string]string{"name": c.container, "image": c.to})
	}
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": lists}}})
	if err != nil { // Strings always marshal.
		panic(err)
	}
	return raw
}

// tellStarted says what was changed and what follows from it. d is what the API server stored: the admission policy
// pauses the Deployment in that same write, so one that is not paused was not held.
func (e *env) tellStarted(t target, d *appsv1.Deployment, changes []imageChange) error {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprint(&b, safef("deployment/%s: %s %s -> %s\n", d.Name, c.container, c.from, c.to))
	}
	if !d.Spec.Paused {
		fmt.Fprint(&b, safef("Warning: the API server did not hold the change, so it rolls out now; is Sluice installed as a whole? (`sluice install`)\n"))
	}
	if t.underWay() {
		fmt.Fprint(&b, safef("%s, which is under way, is superseded: its pods take no more requests.\n", t.release.Name))
	}
	steps := view.StepsInWords(translate.StepsOf(t.rollout))
	fmt.Fprint(&b, safef("What follows: %s; then the workload takes the new revision over.\n", steps))
	fmt.Fprint(&b, safef("Follow it:    %s get %s -w\n", e.program, t.rollout.Name))
	_, err := fmt.Fprint(e.out, b.String())
	return err
}
