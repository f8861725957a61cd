package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// argoKind is the Rollout of Argo Rollouts. Its Go types stay out of this module.
var argoKind = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}

const crdKind = "CustomResourceDefinition"

func newArgoRollout(at metav1.ObjectMeta) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(argoKind)
	u.SetNamespace(at.Namespace)
	u.SetName(at.Name)
	return u
}

// argoObjects are what a team has for Argo Rollouts: the pods in its Rollout, and one Service for each version.
func (t team) argoObjects(at metav1.ObjectMeta) ([]client.Object, error) {
	template := t.template()
	pods, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&template)
	if err != nil {
		return nil, fmt.Errorf("write the template of %s: %w", t.key(), err)
	}
	canary := at
	canary.Name += "-canary"
	r := newArgoRollout(at)
	r.Object["spec"] = map[string]any{
		"replicas": int64(t.replicas),
		"selector": map[string]any{"matchLabels": map[string]any{"app": t.name}},
		"template": pods,
		"strategy": map[string]any{"canary": map[string]any{
			"stableService": at.Name, "canaryService": canary.Name, "steps": argoSteps(t.steps),
			"trafficRouting": map[string]any{"nginx": map[string]any{"stableIngress": at.Name}},
		}},
	}
	return []client.Object{t.service(at), t.service(canary), t.ingress(at), r}, nil
}

// argoSteps are the same weights and pauses in the words of Argo Rollouts, where a pause is a step of its own.
func argoSteps(steps []v1alpha1.CanaryStep) []any {
	var out []any
	for _, s := range steps {
		if s.Weight != nil {
			out = append(out, map[string]any{"setWeight": int64(*s.Weight)})
		}
		if s.Pause == nil {
			continue
		}
		pause := map[string]any{}
		if s.Pause.Duration != nil {
			pause["duration"] = s.Pause.Duration.Duration.String()
		}
		out = append(out, map[string]any{"pause": pause})
	}
	return out
}

// argoState says which image a Rollout of Argo Rollouts has released, or its phase while there is more to do.
func argoState(u *unstructured.Unstructured) string {
	text := func(name string) string {
		value, _, _ := unstructured.NestedString(u.Object, "status", name) // One of another type counts as none.
		return value
	}
	observed := text("observedGeneration") == fmt.Sprint(u.GetGeneration())
	hash := text("currentPodHash")
	if !observed || text("phase") != "Healthy" || hash == "" || hash != text("stableRS") {
		return text("phase")
	}
	var template corev1.PodTemplateSpec
	raw, _, _ := unstructured.NestedMap(u.Object, "spec", "template") // Without one there is no container.
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &template)
	if err != nil || len(template.Spec.Containers) == 0 {
		return "without a container"
	}
	return runs(template.Spec.Containers[0].Image)
}

// installArgo applies the CustomResourceDefinitions that were given with the controller's program, and waits until the
// API server serves them.
func (c *cluster) installArgo(ctx context.Context) error {
	crds, err := readCRDs(c.b.argoManifests)
	if err != nil {
		return err
	}
	for _, crd := range crds {
		err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(crd), client.FieldOwner("bench"),
			client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s: %w", crd.GetName(), err)
		}
	}
	return c.playground.until(ctx, time.Minute, "the API server serves what Argo Rollouts needs", func() bool {
		return !slices.ContainsFunc(crds, func(crd *unstructured.Unstructured) bool { return !c.established(ctx, crd) })
	})
}

func (c *cluster) established(ctx context.Context, crd *unstructured.Unstructured) bool {
	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(crd.GroupVersionKind())
	if c.client.Get(ctx, client.ObjectKeyFromObject(crd), now) != nil {
		return false
	}
	list, _, _ := unstructured.NestedSlice(now.Object, "status", "conditions") // None are there yet.
	return slices.ContainsFunc(list, func(item any) bool {
		condition, _ := item.(map[string]any)
		return condition["type"] == "Established" && condition["status"] == "True"
	})
}

// readCRDs finds the CustomResourceDefinitions in a file, or in the YAML files of a folder. What else stands there is
// left out, since the controller runs as a program and not in the cluster.
func readCRDs(path string) ([]*unstructured.Unstructured, error) {
	files := []string{path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.y*ml")); err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
	}
	var out []*unstructured.Unstructured
	for _, name := range files {
		found, err := readCRDFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no %s: name the file or the folder that has those of Argo Rollouts", path, crdKind)
	}
	return out, nil
}

func readCRDFile(name string) ([]*unstructured.Unstructured, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(f, 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		if u.GetKind() == crdKind {
			out = append(out, u)
		}
	}
}

// startArgo runs Argo Rollouts' controller as it comes but for the leader election, and returns when it listens.
func (c *cluster) startArgo(ctx context.Context) error {
	metrics, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	health, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	_, metricsPort, _ := net.SplitHostPort(metrics)
	_, healthPort, _ := net.SplitHostPort(health)
	c.metrics = "http://" + metrics + "/metrics"
	c.controller, err = launch(filepath.Join(c.dir, "argo.log"), c.b.argo, "--kubeconfig",
		filepath.Join(c.dir, "kubeconfig"), "--leader-elect=false", "--metricsport", metricsPort, "--healthzPort", healthPort)
	if err != nil {
		return err
	}
	return c.controller.until(ctx, time.Minute, "Argo Rollouts' controller is there", func() bool {
		_, err := c.scrape(ctx)
		return err == nil
	})
}
