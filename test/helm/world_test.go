package helm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/playground"
)

const (
	// long bounds what takes pods, a release or a removal.
	long = 90 * time.Second
	// manager is the name by which Sluice would own fields.
	manager = "sluice"
)

// world is what one test has for itself: a namespace, a host, a chart's values and a client that sends requests.
type world struct {
	*testing.T
	cluster  *playground.Cluster
	ns, host string
	client   client.Client
	values   values
	helm     helm
	load     *load
}

// newWorld lets other tests run beside this one.
func newWorld(t *testing.T, layer string) *world {
	t.Helper()
	c := shared(t)
	t.Parallel()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	w := &world{T: t, cluster: c, ns: c.Namespace(t)}
	w.host = w.ns + ".demo"
	w.values = values{"layer": layer, "host": w.host}
	var err error
	w.client, err = client.New(c.Config, client.Options{Scheme: scheme})
	must(t, err)
	t.Cleanup(w.cleanUp)
	return w
}

// cleanUp deletes the Rollout while there is still a controller, and tells what happened if the test failed.
func (w *world) cleanUp() {
	if w.load != nil {
		w.load.stop()
	}
	if w.Failed() {
		var said []string
		for line := range strings.Lines(string(suite.controller.said())) {
			if strings.Contains(line, w.ns) {
				said = append(said, line)
			}
		}
		w.Logf("the controller's last words on %s:\n%s", w.ns, strings.Join(said[max(0, len(said)-15):], ""))
	}
	_ = w.client.DeleteAllOf(context.Background(), &v1alpha1.Rollout{}, client.InNamespace(w.ns))
}

// getter is how a Helm reaches the cluster.
func (w *world) getter() genericclioptions.RESTClientGetter {
	flags := genericclioptions.NewConfigFlags(true)
	cache := filepath.Join(filepath.Dir(w.cluster.Kubeconfig), "helm-cache") // What the API server has to offer is the same for all.
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &w.cluster.Kubeconfig, &w.ns, &cache
	flags.WithWrapConfigFn(func(c *rest.Config) *rest.Config {
		c.QPS, c.WarningHandler = -1, rest.NoWarnings{}
		return c
	})
	return flags
}

func (w *world) helm3() helm {
	w.Helper()
	h, err := newHelm3(w.getter(), w.ns)
	must(w, err)
	return h
}

func (w *world) helm4(server string) helm {
	w.Helper()
	h, err := newHelm4(w.getter(), w.ns, server)
	must(w, err)
	return h
}

// install is helm install; requests go out from when it serves.
func (w *world) install(v values) {
	w.Helper()
	w.values = w.values.with(v)
	must(w, w.helm.install(w.values))
	asking := &http.Client{Timeout: 5 * time.Second}
	w.until("the gateway serves "+w.host, func() error {
		_, err := ask(asking, w.cluster.Gateway+"/color", w.host)
		return err
	})
	w.load = startLoad(w.cluster.Gateway, w.host)
}

// upgrade is helm upgrade with the values so far and these. It must not fail.
func (w *world) upgrade(v values) {
	w.Helper()
	w.values = w.values.with(v)
	if err := w.helm.upgrade(w.values, waits{}); err != nil {
		w.Fatalf("helm upgrade with %v: %v", v, err)
	}
	w.ownsNothing()
}

// rollback is helm rollback. What an upgrade says later is by the values that w.values has then.
func (w *world) rollback(revision int, v values) {
	w.Helper()
	w.values = w.values.with(v)
	if err := w.helm.rollback(revision); err != nil {
		w.Fatalf("helm rollback %d: %v", revision, err)
	}
	w.ownsNothing()
}

// uninstall is helm uninstall, and the end of the requests: none may have failed so far.
func (w *world) uninstall(waits waits) {
	w.Helper()
	w.load.end(w)
	if err := w.helm.uninstall(waits); err != nil {
		w.Fatalf("helm uninstall: %v", err)
	}
}

// sluice is what a person calls.
func (w *world) sluice(args ...string) {
	w.Helper()
	if out, err := sluice(w.Context(), w.cluster.Kubeconfig, append([]string{"-n", w.ns}, args...)...).CombinedOutput(); err != nil {
		w.Fatalf("sluice %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// rollout makes the Rollout apart from the chart, as another team may.
func (w *world) rollout() {
	w.Helper()
	w.cluster.MustKubectl(w, fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  workload: {kind: Deployment, name: shop}
  traffic: [{%v: {name: shop, settle: 1s, confirm: Settle}}]
  canary: {steps: [{weight: 50, pause: {}}]}
  drainDelay: 1s
`, w.values["layer"]), "-n", w.ns, "apply", "-f", "-")
}

func (w *world) get(o client.Object, name string) error {
	return w.client.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, o)
}

// phase waits until the Rollout is in a phase, and speaks of its present spec.
func (w *world) phase(want v1alpha1.RolloutPhase) {
	w.Helper()
	w.until(fmt.Sprintf("the Rollout is %s", want), func() error {
		r := &v1alpha1.Rollout{}
		if err := w.get(r, "shop"); err != nil {
			return err
		}
		if r.Status.Phase != want || r.Status.ObservedGeneration < r.Generation {
			return fmt.Errorf("it is %s: %+v", r.Status.Phase, r.Status.WaitingFor)
		}
		return nil
	})
}

// atStep waits until a release stands still in its only step, and both versions are served.
func (w *world) atStep(name, from, to string) {
	w.Helper()
	w.release(name, "has reached its step", func(r *v1alpha1.Release) bool {
		m := r.Status.Memory
		return m != nil && m.Step == 0 && m.StepReachedAt != nil && r.Status.Phase == v1alpha1.ReleasePaused
	})
	w.served(from, to)
}

// ended waits until a release has ended in a phase.
func (w *world) ended(name string, phase v1alpha1.ReleasePhase) {
	w.Helper()
	w.release(name, "is "+string(phase), func(r *v1alpha1.Release) bool {
		if r.Status.Phase != phase && r.Status.Phase.Terminal() {
			w.Fatalf("%s is %s (%s), want %s", name, r.Status.Phase, r.Status.Result, phase)
		}
		return r.Status.Phase == phase
	})
}

func (w *world) release(name, what string, is func(*v1alpha1.Release) bool) {
	w.Helper()
	w.until(name+" "+what, func() error {
		r := &v1alpha1.Release{}
		if err := w.get(r, name); err != nil {
			return err
		}
		if !is(r) {
			return fmt.Errorf("it is %s in step %q: %+v", r.Status.Phase, r.Status.StepSummary, r.Status.WaitingFor)
		}
		return nil
	})
}

// current is the release under way whose first step has this weight. Helm writes the Rollout last: where it is slow a release
// with the steps of before has begun by then, and gives way.
func (w *world) current(weight int32) (name string) {
	w.Helper()
	w.until(fmt.Sprintf("a release with a step of %d%% is under way", weight), func() error {
		r, rel := &v1alpha1.Rollout{}, &v1alpha1.Release{}
		if err := w.get(r, "shop"); err != nil {
			return err
		}
		name = r.Status.CurrentRelease
		if err := w.get(rel, name); err != nil {
			return err
		}
		if got := *rel.Spec.Plan.Steps[0].Weight; got != weight || rel.Status.Phase.Terminal() {
			return fmt.Errorf("%s with %d%% is %s", name, got, rel.Status.Phase)
		}
		return nil
	})
	return name
}

// noneAfter has the test fail unless a release is the last that there was.
func (w *world) noneAfter(release string) {
	w.Helper()
	r := &v1alpha1.Rollout{}
	must(w, w.get(r, "shop"))
	if got := r.Status.CurrentRelease; got != release {
		w.Errorf("there is to be no release after %s; the last is %s", release, got)
	}
}

// served waits for 40 answers to requests of after now, and has the test fail unless exactly these versions gave them.
func (w *world) served(want ...string) {
	w.Helper()
	from := time.Now()
	var got map[string]int
	w.until("40 further requests are answered", func() error {
		n := 0
		if got, n = w.load.since(from); n < 40 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	if len(got) != len(want) {
		w.Errorf("answers by %v, want them by %v", got, want)
	}
	for _, v := range want {
		if got[v] == 0 {
			w.Errorf("answers by %v, want some by %s", got, v)
		}
	}
}

// team are the objects of the chart that a release changes.
var team = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Version: "v1", Kind: "Service"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"},
}

// object of the chart; nil if the chart has none of that kind.
func (w *world) object(kind schema.GroupVersionKind) *unstructured.Unstructured {
	w.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	if err := w.get(o, "shop"); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		w.Fatal(err)
	}
	return o
}

// ownsNothing has the test fail if Sluice is the manager of any field of the team's objects, or Helm is of none.
func (w *world) ownsNothing() {
	w.Helper()
	for _, kind := range team {
		o := w.object(kind)
		if o == nil {
			continue
		}
		helms := false
		for _, e := range o.GetManagedFields() {
			if e.Manager == manager {
				w.Errorf("Sluice owns fields of the %s: %s", kind.Kind, e.FieldsV1.GetRawString())
			}
			helms = helms || e.Manager == "helm" && (e.Operation == metav1.ManagedFieldsOperationApply) == w.server()
		}
		if !helms {
			w.Errorf("Helm owns no field of the %s: %v", kind.Kind, o.GetManagedFields())
		}
	}
}

// server says whether the world's Helm applies on the server's side.
func (w *world) server() bool {
	_, is := w.helm.(helm4)
	return is
}

// asInChart waits until nothing of a release is left on the team's objects or beside them. A rejected revision stays held.
func (w *world) asInChart(rejected bool) {
	w.Helper()
	w.until("all is as the chart has it", func() error {
		d, s := &appsv1.Deployment{}, &corev1.Service{}
		if err := errors.Join(w.get(d, "shop"), w.get(s, "shop")); err != nil {
			return err
		}
		if d.Spec.Paused != rejected || (d.Annotations[v1alpha1.AnnotationHeld] != "") != rejected {
			return fmt.Errorf("spec.paused of the Deployment is %v, with annotations %v", d.Spec.Paused, d.Annotations)
		}
		if len(s.Spec.Selector) != 1 {
			return fmt.Errorf("the Service selects %v", s.Spec.Selector)
		}
		if r := w.object(team[3]); r != nil {
			rules, _, _ := unstructured.NestedSlice(r.Object, "spec", "rules")
			if refs, _, _ := unstructured.NestedSlice(rules[0].(map[string]any), "backendRefs"); len(rules) != 1 || len(refs) != 1 {
				return fmt.Errorf("the HTTPRoute has the rules %v", rules)
			}
		}
		return errors.Join(w.nothingBut("", v1alpha1.GroupVersion.WithKind("Hold")), w.nothingBut("shop", team...))
	})
	w.ownsNothing()
}

// gone waits until nothing of the chart, or of Sluice, is in the namespace but records.
func (w *world) gone() {
	w.Helper()
	kinds := append([]schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
		{Version: "v1", Kind: "Pod"},
		{Version: "v1", Kind: "Secret"},
		{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"},
		v1alpha1.GroupVersion.WithKind("Hold"), v1alpha1.GroupVersion.WithKind("Rollout"),
	}, team...)
	w.until("nothing is left in the namespace but records", func() error { return w.nothingBut("", kinds...) })
}

// nothingBut is an error if there are objects of a kind, but for one of a name.
func (w *world) nothingBut(name string, kinds ...schema.GroupVersionKind) error {
	for _, kind := range kinds {
		l := &unstructured.UnstructuredList{}
		l.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := w.client.List(w.Context(), l, client.InNamespace(w.ns)); err != nil {
			return err
		}
		for _, o := range l.Items {
			if o.GetName() != name {
				return fmt.Errorf("%s %s is left", kind.Kind, o.GetName())
			}
		}
	}
	return nil
}

// until tries until there is no error; then the test ends with the last error.
func (w *world) until(what string, try func() error) {
	w.Helper()
	deadline := time.Now().Add(long)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("waited %s until %s; last: %v", long, what, err)
		}
		select {
		case <-w.Context().Done():
			w.Fatalf("the test ended while waiting until %s; last: %v", what, err)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
