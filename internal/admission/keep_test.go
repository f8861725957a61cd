package admission_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

var (
	releases = v1alpha1.GroupVersion.WithResource("releases")
	rollouts = v1alpha1.GroupVersion.WithResource("rollouts")
)

const release = `
apiVersion: sluice.dev/v1alpha1
kind: Release
metadata: {name: %s}
spec:
  rollout: shop
  number: 1
  from: {hash: a, podTemplateHash: a}
  to: {hash: b}
  plan:
    workload: {kind: Deployment, name: shop}
    steps: [{name: half, weight: 50}]
    onFailure: abort
    onAbort: keep
    progressDeadline: 10m
    releaseDeadline: 24h
    drainDelay: 5s
  planDigest: sha256:0000000000000000000000000000000000000000000000000000000000000000
`

func (w *world) release(name string, phase v1alpha1.ReleasePhase, owner *unstructured.Unstructured) {
	w.t.Helper()
	object := parse(w.t, fmt.Sprintf(release, name))
	if owner != nil {
		yes := true
		object.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(), Controller: &yes,
		}})
	}
	if _, err := w.as("", releases).Create(w.t.Context(), object, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.phase(name, phase)
}

func (w *world) phase(name string, phase v1alpha1.ReleasePhase) {
	w.t.Helper()
	if phase == "" {
		return
	}
	_, err := w.as("", releases).Patch(w.t.Context(), name, types.MergePatchType, fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase), metav1.PatchOptions{}, "status")
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestKeepRelease: nobody but Sluice deletes a release that is under way; the refusal says what to do instead.
func TestKeepRelease(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		phase    v1alpha1.ReleasePhase
		by       string
		annotate bool
		refused  bool
	}{
		"just made":                {refused: true},
		"progressing":              {phase: v1alpha1.ReleaseProgressing, refused: true},
		"paused":                   {phase: v1alpha1.ReleasePaused, refused: true},
		"completing":               {phase: v1alpha1.ReleaseCompleting, refused: true},
		"aborting":                 {phase: v1alpha1.ReleaseAborting, refused: true},
		"succeeded":                {phase: v1alpha1.ReleaseSucceeded},
		"aborted":                  {phase: v1alpha1.ReleaseAborted},
		"superseded":               {phase: v1alpha1.ReleaseSuperseded},
		"paused, by Sluice":        {phase: v1alpha1.ReleasePaused, by: sluice},
		"paused, and given up for": {phase: v1alpha1.ReleasePaused, annotate: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{Cluster: w.Cluster, t: t, namespace: w.namespace}
			id := strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(name))
			w.release(id, test.phase, nil)
			if test.annotate {
				w.patch("", releases, id, `{"metadata":{"annotations":{"sluice.dev/abandon":"true"}}}`)
			}
			err := w.as(test.by, releases).Delete(t.Context(), id, metav1.DeleteOptions{})
			if test.refused != apierrors.IsForbidden(err) || !test.refused && err != nil {
				t.Fatalf("refused: %v, want %v", err, test.refused)
			}
			if test.refused && !strings.Contains(err.Error(), "sluice abort shop") {
				t.Errorf("the refusal names no remedy: %v", err)
			}
		})
	}
}

// TestKeepReleaseFromTheCollector: a Rollout that is deleted in the foreground, as Argo CD does, does not take its
// running release away under the feet of the controller. (Once it has ended the collector comes back for it, after a
// pause that grows with the number of refusals.)
func TestKeepReleaseFromTheCollector(t *testing.T) {
	w := newWorld(t)
	// The collector looks for new kinds every half minute only.
	w.release("orphan", v1alpha1.ReleaseSucceeded, parse(t, "{apiVersion: sluice.dev/v1alpha1, kind: Rollout, metadata: {name: never, uid: never}}"))
	w.eventually("the collector knows the kind", func(ctx context.Context) error { return w.gone(ctx, "orphan") })
	rollout := w.create("", rollouts, `
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: shop, finalizers: [sluice.dev/put-back]}
spec:
  workload: {kind: Deployment, name: shop}
  canary: {steps: [{weight: 50}]}
`)
	w.release("shop-1", v1alpha1.ReleasePaused, rollout)
	w.release("shop-0", v1alpha1.ReleaseSucceeded, rollout)
	foreground := metav1.DeletePropagationForeground
	if err := w.as("", rollouts).Delete(t.Context(), "shop", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the collector has taken the release that has ended", func(ctx context.Context) error { return w.gone(ctx, "shop-0") })
	if err := w.gone(t.Context(), "shop-1"); err == nil {
		t.Fatal("the running release is gone too")
	}
}

// TestKeepReleaseInNamespaceThatGoes: a namespace is deleted with all that is in it.
func TestKeepReleaseInNamespaceThatGoes(t *testing.T) {
	w := newWorld(t)
	w.release("shop-1", v1alpha1.ReleasePaused, nil)
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	client, err := dynamic.NewForConfig(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Resource(namespaces).Delete(t.Context(), w.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the release is gone with its namespace", func(ctx context.Context) error { return w.gone(ctx, "shop-1") })
}

var errThere = errors.New("it is still there")

func (w *world) gone(ctx context.Context, name string) error {
	switch _, err := w.as("", releases).Get(ctx, name, metav1.GetOptions{}); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return errThere
}
