package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/playground"
)

// world is what one test has for itself: a namespace, a host, clients, and a record of what happened.
type world struct {
	*testing.T
	cluster  *playground.Cluster
	ns, host string
	client   client.Client
	journal  *journal
	http     *http.Client
}

// newWorld makes a world in the cluster that most tests share, and lets other tests run beside this one.
func newWorld(t *testing.T) *world {
	t.Helper()
	c := shared(t)
	t.Parallel()
	return worldIn(t, c)
}

func worldIn(t *testing.T, c *playground.Cluster) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	w := &world{T: t, cluster: c, ns: c.Namespace(t), http: newClient()}
	w.host = w.ns + ".demo"
	var err error
	w.client, err = client.New(c.Config, client.Options{Scheme: scheme})
	must(t, err)
	w.journal = newJournal(t, c.Config, scheme, w.ns)
	t.Cleanup(w.cleanUp)
	return w
}

// cleanUp deletes the Rollouts while there is still a controller, and tells what happened if the test failed.
func (w *world) cleanUp() {
	if w.Failed() {
		w.Log(w.journal.story())
		if suite.controller != nil {
			w.Logf("the controller's last words on %s:\n%s", w.ns, grep(suite.controller.log.String(), w.ns))
		}
	}
	w.http.CloseIdleConnections()
	_, _ = w.kubectlAfter("delete", "rollouts", "--all", "--wait=false")
}

func grep(text, word string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			out = append(out, line)
		}
	}
	return strings.Join(out[max(0, len(out)-15):], "")
}

// example reads manifests of an example, with the host of this test in place of the example's, and shorter waits.
func (w *world) example(files ...string) []*unstructured.Unstructured {
	w.Helper()
	var out []*unstructured.Unstructured
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", filepath.FromSlash(f)))
		must(w, err)
		out = append(out, w.objects(string(data))...)
	}
	return out
}

// objects reads manifests: canary.demo stands for the host of this test.
func (w *world) objects(text string) []*unstructured.Unstructured {
	w.Helper()
	text = strings.ReplaceAll(text, "canary.demo", w.host)
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	var out []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if o.Object != nil {
			quicken(o)
			out = append(out, o)
		}
		if err != nil {
			return out
		}
	}
}

// quicken shortens the waits that a test is not about, and has ingress-nginx answer without TLS.
func quicken(o *unstructured.Unstructured) {
	switch o.GetKind() {
	case "Deployment":
		patient(o)
	case "Ingress":
		a := o.GetAnnotations()
		if a == nil {
			a = map[string]string{}
		}
		a["nginx.ingress.kubernetes.io/ssl-redirect"] = "false"
		o.SetAnnotations(a)
	case "Rollout":
		if _, ok, _ := unstructured.NestedString(o.Object, "spec", "drainDelay"); !ok {
			set(o, "1s", "spec", "drainDelay")
		}
		eachLayer(o, func(in map[string]any) {
			if _, ok := in["settle"]; !ok {
				in["settle"] = settle()
			}
			if _, ok := in["confirm"]; !ok {
				in["confirm"] = string(v1alpha1.ConfirmBySettle) // Most tests send no requests that could be counted.
			}
		})
		eachStep(o, func(step map[string]any) {
			if p, ok := step["pause"].(map[string]any); ok && p["duration"] == "30s" {
				p["duration"] = "4s"
			}
		})
	}
}

// patient has pods stay ready when the machine under the tests stands still for seconds, as when it builds something
// beside them: a pod that is truly unready is no matter of these tests.
func patient(o *unstructured.Unstructured) {
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		if probe, ok := c.(map[string]any)["readinessProbe"].(map[string]any); ok {
			probe["timeoutSeconds"], probe["failureThreshold"] = int64(5), int64(10)
		}
	}
	set(o, containers, "spec", "template", "spec", "containers")
}

func eachLayer(o *unstructured.Unstructured, do func(map[string]any)) {
	layers, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "traffic")
	list, _ := layers.([]any)
	for _, l := range list {
		for _, ref := range l.(map[string]any) {
			do(ref.(map[string]any))
		}
	}
}

func eachStep(o *unstructured.Unstructured, do func(map[string]any)) {
	steps, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "canary", "steps")
	list, _ := steps.([]any)
	for _, s := range list {
		do(s.(map[string]any))
	}
}

// set sets one field of an object.
func set(o *unstructured.Unstructured, value any, path ...string) {
	if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
		panic(err)
	}
}

// only picks the object of a kind.
func only(objects []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	for _, o := range objects {
		if o.GetKind() == kind {
			return o
		}
	}
	panic("no " + kind)
}

func manifest(objects []*unstructured.Unstructured) string {
	var b strings.Builder
	for _, o := range objects {
		raw, err := json.Marshal(o.Object)
		if err != nil {
			panic(err)
		}
		b.Write(raw)
		b.WriteString("\n---\n")
	}
	return b.String()
}

// apply is kubectl apply.
func (w *world) apply(objects ...*unstructured.Unstructured) {
	w.Helper()
	w.kubectlWith(manifest(objects), "apply", "-f", "-")
}

func (w *world) kubectl(args ...string) string {
	w.Helper()
	return w.kubectlWith("", args...)
}

func (w *world) kubectlWith(input string, args ...string) string {
	w.Helper()
	return w.cluster.MustKubectl(w, input, append([]string{"-n", w.ns}, args...)...)
}

// tryKubectl is for what may be refused.
func (w *world) tryKubectl(input string, args ...string) (string, error) {
	w.Helper()
	return w.cluster.Kubectl(w, input, append([]string{"-n", w.ns}, args...)...)
}

// kubectlAfter is for the test's clean-up, whose context has ended.
func (w *world) kubectlAfter(args ...string) (string, error) {
	b := os.Getenv("SLUICE_PLAYGROUND")
	if b == "" {
		b = filepath.Join("..", "..", "bin", "sluice-playground")
	}
	out, err := exec.Command(b, append([]string{"kubectl", "--kubeconfig", w.cluster.Kubeconfig, "-n", w.ns}, args...)...).CombinedOutput()
	return string(out), err
}

// sluice calls the user's command and returns all that it said, and its exit code.
func (w *world) sluice(args ...string) (string, int) {
	w.Helper()
	cmd := command(w.Context(), "sluice", append([]string{"--kubeconfig", w.cluster.Kubeconfig, "-n", w.ns}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), e.ExitCode()
	}
	must(w, err)
	return out.String(), 0
}

func (w *world) mustSluice(args ...string) string {
	w.Helper()
	out, code := w.sluice(args...)
	if code != 0 {
		w.Fatalf("sluice %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// setImage is what the team does to release.
func (w *world) setImage(colour string) {
	w.Helper()
	w.kubectl("set", "image", "deployment/shop", "web=argoproj/rollouts-demo:"+colour)
}

// to is a request of this test's host.
func (w *world) to(path string, header ...string) request {
	r := request{url: w.cluster.Gateway + path, host: w.host, header: map[string]string{}}
	for i := 0; i+1 < len(header); i += 2 {
		r.header[header[i]] = header[i+1]
	}
	return r
}

// load sends requests to /color from now until the test ends it.
func (w *world) load() *load {
	w.Helper()
	return w.loadOn(w.to("/color"), 1)
}

// loadOn sends a part of the test's requests, one in parts, from when the gateway has taken its route in: what fails
// before that is no failure of a release.
func (w *world) loadOn(r request, parts int) *load {
	w.Helper()
	w.serves(r)
	perSecond, err := rate(w.cluster.Gateway)
	must(w, err)
	l := startLoad(r, max(1, perSecond/parts))
	w.Cleanup(func() { l.end() })
	return l
}

// allFrom sends n requests and has the test fail unless version answers them all.
func (w *world) allFrom(version string, n int, r request) {
	w.Helper()
	var all []sample
	for range n {
		all = append(all, ask(w.http, r))
	}
	noneFailed(w, all)
	if got := versions(all)[version]; got != n {
		w.Errorf("%s with %v: %v, want %d from %s", r.url, r.header, versions(all), n, version)
	}
}

// sometimesFrom has the test fail unless version answers some of 50 requests.
func (w *world) sometimesFrom(version string, r request) {
	w.Helper()
	var all []sample
	for range 50 {
		all = append(all, ask(w.http, r))
	}
	noneFailed(w, all)
	if got := versions(all); got[version] == 0 {
		w.Errorf("%s with %v: %v, want some from %s", r.url, r.header, got, version)
	}
}

// serves waits until the gateway answers a request.
func (w *world) serves(r request) {
	w.Helper()
	until(w, long, "the gateway serves "+r.url+" of "+r.host, func() error {
		if s := ask(w.http, r); s.failed() {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
}

func (w *world) get(o client.Object, name string) error {
	return w.client.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, o)
}

func (w *world) list(l client.ObjectList, opts ...client.ListOption) {
	w.Helper()
	must(w, w.client.List(w.Context(), l, append(opts, client.InNamespace(w.ns))...))
}

func (w *world) deployment() *appsv1.Deployment {
	w.Helper()
	d := &appsv1.Deployment{}
	must(w, w.get(d, "shop"))
	return d
}

// pods of the workload that are there now.
func (w *world) pods() []corev1.Pod {
	w.Helper()
	l := &corev1.PodList{}
	w.list(l, client.MatchingLabels{"app": "shop"})
	return l.Items
}

// ready waits until the workload and what stands beside it are up.
func (w *world) ready(deployments ...string) {
	w.Helper()
	for _, name := range deployments {
		until(w, long, "deployment "+name+" is up", func() error {
			d := &appsv1.Deployment{}
			if err := w.get(d, name); err != nil {
				return err
			}
			if s := d.Status; s.ObservedGeneration < d.Generation || s.AvailableReplicas != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
}

// phase waits until the Rollout is in a phase, and speaks of its present spec.
func (w *world) phase(want v1alpha1.RolloutPhase) *v1alpha1.Rollout {
	w.Helper()
	r := &v1alpha1.Rollout{}
	until(w, long, fmt.Sprintf("the Rollout is %s", want), func() error {
		if err := w.get(r, "shop"); err != nil {
			return err
		}
		if r.Status.Phase != want || r.Status.ObservedGeneration < r.Generation {
			return fmt.Errorf("it is %s: %s", r.Status.Phase, waits(r.Status.WaitingFor))
		}
		return nil
	})
	return r
}

func waits(w *v1alpha1.WaitingFor) string {
	if w == nil {
		return "waits for nothing"
	}
	return w.Reason + ": " + w.Message
}

// atStep waits until a release stands still in a step (counted from 1), with its pods ready and its routes in force.
func (w *world) atStep(name string, step int32) *v1alpha1.Release {
	w.Helper()
	return w.release(name, fmt.Sprintf("%s has reached step %d", name, step), func(r *v1alpha1.Release) error {
		m := r.Status.Memory
		if m == nil || m.Step != step-1 || m.StepReachedAt == nil || r.Status.Phase.Terminal() {
			return fmt.Errorf("is %s in step %q: %s", r.Status.Phase, r.Status.StepSummary, waits(r.Status.WaitingFor))
		}
		return nil
	})
}

// ended waits until a release has ended in a phase.
func (w *world) ended(name string, phase v1alpha1.ReleasePhase) *v1alpha1.Release {
	w.Helper()
	return w.release(name, fmt.Sprintf("%s is %s", name, phase), func(r *v1alpha1.Release) error {
		if r.Status.Phase != phase && r.Status.Phase.Terminal() {
			w.Fatalf("%s is %s (%s), want %s", name, r.Status.Phase, r.Status.Result, phase)
		}
		if r.Status.Phase != phase {
			return fmt.Errorf("is %s in step %q: %s", r.Status.Phase, r.Status.StepSummary, waits(r.Status.WaitingFor))
		}
		return nil
	})
}

func (w *world) release(name, what string, is func(*v1alpha1.Release) error) *v1alpha1.Release {
	w.Helper()
	r := &v1alpha1.Release{}
	until(w, long, what, func() error {
		if err := w.get(r, name); err != nil {
			return err
		}
		return is(r)
	})
	return r
}

// start applies objects and waits until all is up and the Rollout has taken the workload over.
func (w *world) start(objects ...*unstructured.Unstructured) {
	w.Helper()
	w.apply(objects...)
	var names []string
	for _, o := range objects {
		if o.GetKind() == "Deployment" {
			names = append(names, o.GetName())
		}
	}
	w.ready(names...)
	w.phase(v1alpha1.RolloutHealthy)
}

// podReadyAt is when a pod became ready.
func podReadyAt(p *corev1.Pod) (metav1.Time, bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime, true
		}
	}
	return metav1.Time{}, false
}

func colourOf(p *corev1.Pod) string {
	image := p.Spec.Containers[0].Image
	return image[strings.LastIndex(image, ":")+1:]
}

// window is the time that a release spent in a step with its routes in force.
type window struct{ from, to time.Time }

// names of the workload's pods, oldest first.
func names(w *world) string {
	w.Helper()
	pods := w.pods()
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(strings.Compare(colourOrder(&a), colourOrder(&b)), strings.Compare(a.Name, b.Name))
	})
	var out []string
	for _, p := range pods {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

// colourOrder puts blue, with which every test begins, before the others.
func colourOrder(p *corev1.Pod) string {
	if c := colourOf(p); c != "blue" {
		return "2" + c
	}
	return "1"
}

func condition(r *v1alpha1.Rollout, kind string) *metav1.Condition {
	return meta.FindStatusCondition(r.Status.Conditions, kind)
}

// noFurther has the test fail if there is a release of that name.
func (w *world) noFurther(release string) {
	w.Helper()
	if err := w.get(&v1alpha1.Release{}, release); !apierrors.IsNotFound(err) {
		w.Errorf("there is to be no release %s; reading it gives %v", release, err)
	}
}
