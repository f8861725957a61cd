package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
)

// target is what a NAME stands for: a Rollout, and one of its releases if the name is a release's, or the one that
// the Rollout speaks of.
type target struct {
	rollout *v1alpha1.Rollout
	release *v1alpha1.Release
	// named: the release was asked for by its own name.
	named bool
}

// kinds that a NAME may begin with: what kubectl takes for them, so that a name that kubectl has printed can be
// pasted.
var (
	rolloutPrefixes = []string{"rollout", "rollouts", "ro", "rollout.sluice.dev", "rollouts.sluice.dev"}
	releasePrefixes = []string{"release", "releases", "rel", "release.sluice.dev", "releases.sluice.dev"}
)

// splitName takes "rollout/shop" apart. Without a prefix both kinds are possible.
func splitName(arg string) (name string, rollout, release bool, err error) {
	prefix, name, found := strings.Cut(arg, "/")
	if !found {
		return arg, true, true, nil
	}
	prefix = strings.ToLower(prefix)
	rollout, release = slices.Contains(rolloutPrefixes, prefix), slices.Contains(releasePrefixes, prefix)
	if !rollout && !release {
		return "", false, false, fmt.Errorf("%s: %q is no kind of Sluice's: write rollout/NAME, release/NAME or just NAME",
			arg, prefix)
	}
	return name, rollout, release, nil
}

// resolve finds what a NAME stands for. A Rollout goes before a release of the same name.
func resolve(ctx context.Context, c client.Reader, ns, arg string) (target, error) {
	name, rollout, release, err := splitName(arg)
	if err != nil {
		return target{}, err
	}
	if rollout {
		// Any error but a missing Rollout ends it: a Rollout that may not be read is no reason to speak of a release.
		t, err := byRollout(ctx, c, ns, name)
		if err == nil || !missing(err) || !release {
			return t, explainMissing(ctx, c, ns, arg, err)
		}
	}
	t, err := byRelease(ctx, c, ns, name)
	return t, explainMissing(ctx, c, ns, arg, err)
}

func byRollout(ctx context.Context, c client.Reader, ns, name string) (target, error) {
	var r v1alpha1.Rollout
	if err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, &r); err != nil {
		return target{}, err
	}
	t := target{rollout: &r}
	// The status may not name a release yet that has just begun, and an abort must find it.
	for _, name := range []string{naming.Release(r.Name, r.Status.LastNumber+1), r.Status.CurrentRelease} {
		if name == "" {
			continue
		}
		var rel v1alpha1.Release
		err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, &rel)
		if err == nil && rel.Spec.Rollout == r.Name {
			t.release = &rel
			return t, nil
		}
		if err != nil && !missing(err) {
			return t, err
		}
	}
	return t, nil
}

func byRelease(ctx context.Context, c client.Reader, ns, name string) (target, error) {
	var rel v1alpha1.Release
	if err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, &rel); err != nil {
		return target{}, err
	}
	t := target{release: &rel, named: true}
	var r v1alpha1.Rollout
	err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: rel.Spec.Rollout}, &r)
	if missing(err) { // The records of releases outlive their Rollout.
		return t, nil
	}
	t.rollout = &r
	return t, err
}

// missing says that the object, and not its kind, is absent. The API server answers both with 404, and where Sluice is
// not installed it would be misleading to say that a name is wrong.
func missing(err error) bool { return apierrors.IsNotFound(err) && sayNotInstalled(err) == "" }

// explainMissing says which Rollouts there are instead. Where they cannot be listed the first error still has to be
// told, so that of the list is dropped. Other errors pass as they are.
func explainMissing(ctx context.Context, c client.Reader, ns, arg string, err error) error {
	if err == nil || !missing(err) {
		return err
	}
	var all v1alpha1.RolloutList
	if lerr := c.List(ctx, &all, client.InNamespace(ns)); lerr != nil || len(all.Items) == 0 {
		return fmt.Errorf("there is no Rollout or Release %q in namespace %s; `sluice list -A` shows those of all namespaces", arg, ns)
	}
	var names []string
	for _, r := range all.Items {
		names = append(names, r.Name)
	}
	return fmt.Errorf("there is no Rollout or Release %q in namespace %s; its Rollouts are: %s", arg, ns,
		strings.Join(names, ", "))
}

// releases of a Rollout, the newest first.
func releases(ctx context.Context, c client.Reader, ns, rollout string) ([]v1alpha1.Release, error) {
	var all v1alpha1.ReleaseList
	if err := c.List(ctx, &all, client.InNamespace(ns)); err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	out := slices.DeleteFunc(all.Items, func(r v1alpha1.Release) bool { return r.Spec.Rollout != rollout })
	slices.SortFunc(out, func(a, b v1alpha1.Release) int { return int(b.Spec.Number - a.Spec.Number) })
	return out, nil
}

// oneName is the argument check of the commands that take one NAME.
func oneName(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("name one Rollout or Release: `%s`, as in `%s shop`", c.UseLine(), c.CommandPath())
}

// completeNames offers the Rollouts of the namespace, and its releases once something is typed that they begin with:
// all releases on record would hide the few Rollouts. What stands behind the tab is shown by the shell as a
// description. A NAME is never a file, so no files are offered.
func (e *env) completeNames(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, ns, err := e.reach()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var rollouts v1alpha1.RolloutList
	if err := cl.List(c.Context(), &rollouts, client.InNamespace(ns)); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, r := range rollouts.Items {
		out = append(out, r.Name+"\t"+string(r.Status.Phase))
	}
	var all v1alpha1.ReleaseList
	if err := cl.List(c.Context(), &all, client.InNamespace(ns)); err == nil && typed != "" {
		for _, r := range all.Items {
			out = append(out, r.Name+"\t"+string(r.Status.Phase))
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return !strings.HasPrefix(s, typed) }),
		cobra.ShellCompDirectiveNoFileComp
}
