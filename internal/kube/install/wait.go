package install

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// interval is the time between two looks at what is waited for.
const interval = 250 * time.Millisecond

// until looks until done, or until the context ends; then the error says what was waited for, what was seen
// last and what can be done.
func until(ctx context.Context, what, remedy string,
	look func(context.Context) (done bool, seen string, err error),
) error {
	seen := "nothing yet"
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		done, now, err := look(ctx)
		if now != "" {
			seen = now
		}
		return done, err
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait until %s: %w; last seen: %s; %s", what, ctx.Err(), seen, remedy)
	}
	if err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

// waitEstablished waits until the API server serves a kind.
func (c *cluster) waitEstablished(ctx context.Context, crd *unstructured.Unstructured) error {
	remedy := "see kubectl describe crd " + crd.GetName()
	return until(ctx, crd.GetName()+" is served", remedy, func(ctx context.Context) (bool, string, error) {
		found, err := c.get(ctx, crd)
		if err != nil || found == nil {
			return false, "not found", err
		}
		done, seen := established(found)
		return done, seen, nil
	})
}

// established reads a CRD's conditions.
func established(crd *unstructured.Unstructured) (bool, string) {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	var seen []string
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] == "Established" && condition["status"] == "True" {
			return true, ""
		}
		seen = append(seen, fmt.Sprintf("%v=%v %v", condition["type"], condition["status"], condition["message"]))
	}
	return false, strings.Join(seen, ", ")
}

// probeUser is nobody's name: a Decision in it must be refused, whoever makes it.
const probeUser = "sluice-install-probe"

// waitInForce waits until the policies bind. The API server takes up new policies a moment after they were
// made, and until then it would let pass what must not pass. The probes are dry runs.
func (c *cluster) waitInForce(ctx context.Context, namespace string, mutating bool) error {
	const remedy = "see kubectl get validatingadmissionpolicies,mutatingadmissionpolicies -o yaml"
	err := until(ctx, "Decisions in another's name are refused", remedy, func(ctx context.Context) (bool, string, error) {
		_, err := c.probe(ctx, namespace, probeUser)
		return refusedByPolicy(err), probeSeen(err), probeError(err)
	})
	if err != nil || !mutating {
		return err
	}
	return until(ctx, "the author of a Decision is filled in", remedy, func(ctx context.Context) (bool, string, error) {
		made, err := c.probe(ctx, namespace, "")
		if err != nil {
			// Somebody without that right is refused for the verb, and for the author only as long as none is
			// filled in.
			return refusedByPolicy(err) && !strings.Contains(err.Error(), "spec.user"), probeSeen(err), probeError(err)
		}
		user, _, _ := unstructured.NestedString(made.Object, "spec", "user")
		return user != "", "spec.user is empty", nil
	})
}

// probe makes a Decision in a dry run.
func (c *cluster) probe(ctx context.Context, namespace, user string) (*unstructured.Unstructured, error) {
	spec := map[string]any{"release": "sluice-install-probe", "verb": string(v1alpha1.VerbAbort)}
	if user != "" {
		spec["user"] = user
	}
	decision := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	decision.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Decision"))
	decision.SetNamespace(namespace)
	decision.SetName("sluice-install-probe")
	return c.on(decision).Create(ctx, decision, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// refusedByPolicy tells the policy's refusal from one by RBAC or by the schema.
func refusedByPolicy(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy")
}

// probeError keeps the errors that no waiting will mend. A kind that was established a moment ago may still
// be unknown to the handler that serves it.
func probeError(err error) error {
	if err == nil || refusedByPolicy(err) || apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTooManyRequests(err) {
		return nil
	}
	return explain(err)
}

func probeSeen(err error) string {
	if err != nil {
		return err.Error()
	}
	return "the API server let it pass"
}
