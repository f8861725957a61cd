package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/kube/bound/boundtest"
	"github.com/sluice-dev/sluice/internal/registry"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

const (
	namespace = "demo"
	shop      = "shop"
)

var shopKey = types.NamespacedName{Namespace: namespace, Name: shop}

// cluster is a store of objects with just enough of Kubernetes' own controllers, and a Reconciler that works on it
// in virtual time. What the Reconciler writes is recorded, and can be made to fail.
type cluster struct {
	// verdict of every analysis; empty for none.
	verdict v1alpha1.AnalysisPhase
	t       *testing.T
	now     time.Time
	// store is the API server: nothing that it is asked is recorded.
	store  client.WithWatch
	r      *Reconciler
	events *events.FakeRecorder
	policy bool
	// writes of the Reconciler, in short.
	writes []string
	// failure, when set, is asked before each write of the Reconciler, with its number from 1: an error is the write's
	// answer; with commit the write is done nevertheless.
	failure func(n int, write string) (err error, commit bool)
	// drivers of the Reconciler, kinds of the first one, and what the controller of these workloads does.
	drivers     []workload.Driver
	kinds       workload.Kinds
	runWorkload func(*unstructured.Unstructured) bool
	made        int
	words       int
	// portOf is the image whose pods alone have the Service's port; empty for all.
	portOf string
	// author of the team's new revisions.
	author string
	// outages are until when the pods of an image that there are do not answer.
	outages map[string]time.Time
	// drops, when set, has a write of the Reconciler come to nothing, although the answer says that it was done.
	drops func(write string) bool
	// layers are the kinds of traffic layers; routes are those of their objects that have no Go type here.
	layers translate.LayerKinds
	routes []schema.GroupVersionKind
}

// As the core has them.
const (
	quiet     = time.Second
	quietMost = 10 * time.Second
	goneFor   = 30 * time.Second
)

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	t.Helper()
	return newClusterOf(t, registry.Workloads, objects...)
}

// newClusterOf is a cluster with these drivers. Its workload is of the first one's kind.
func newClusterOf(t *testing.T, drivers []workload.Driver, objects ...client.Object) *cluster {
	t.Helper()
	return newClusterThrough(t, registry.Layers, drivers, objects...)
}

// newClusterThrough is a cluster with these kinds of traffic layers, too.
func newClusterThrough(
	t *testing.T, layers translate.LayerKinds, drivers []workload.Driver, objects ...client.Object,
) *cluster {
	t.Helper()
	c := &cluster{t: t, now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), policy: true, drivers: drivers, layers: layers, author: "ann"}
	c.kinds, c.runWorkload = drivers[0].Kinds(), c.runDeployment
	scheme := runtime.NewScheme()
	// Not all kinds that there are: the store looks each of them up whenever it is made.
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	known := func(kind schema.GroupVersionKind) bool {
		if scheme.Recognizes(kind) {
			return true
		}
		scheme.AddKnownTypeWithName(kind, &unstructured.Unstructured{})
		scheme.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &unstructured.UnstructuredList{})
		return false
	}
	for _, d := range drivers {
		known(d.Kinds().Workload)
		known(d.Kinds().Part)
	}
	for _, kind := range layers.Objects() {
		if !known(kind) {
			c.routes = append(c.routes, kind)
		}
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Rollout{}, &v1alpha1.Release{}, &v1alpha1.Decision{},
		untyped(drivers[0].Kinds().Workload), untyped(drivers[0].Kinds().Part))
	if err := index(t.Context(), indexer{b}, drivers, layers); err != nil {
		t.Fatal(err)
	}
	c.store = b.Build()
	c.add(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}})
	for _, o := range objects {
		c.add(o)
	}
	c.restart()
	return c
}

type indexer struct{ b *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, of client.IndexerFunc) error {
	i.b.WithIndex(o, field, of)
	return nil
}

// restart gives the Reconciler a new process: all that it had in memory is gone.
func (c *cluster) restart() {
	c.events = events.NewFakeRecorder(1000)
	cached := interceptor.NewClient(c.store, interceptor.Funcs{
		Get: func(ctx context.Context, s client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := s.Get(ctx, key, o, opts...)
			condense(c.t, o)
			return err
		},
		List: func(ctx context.Context, s client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			err := s.List(ctx, l, opts...)
			if list, ok := l.(*unstructured.UnstructuredList); ok {
				for i := range list.Items {
					condense(c.t, &list.Items[i])
				}
			}
			return err
		},
		Create: func(ctx context.Context, s client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return c.write("create "+short(o), func() error {
				c.born(o)
				return s.Create(ctx, o, opts...)
			})
		},
		Patch: func(ctx context.Context, s client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return c.write("patch "+short(o)+" "+c.patch(o, p), func() error {
				return c.staysServed(o, func() error { return s.Patch(ctx, o, p, opts...) })
			})
		},
		SubResourcePatch: func(ctx context.Context, s client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			c.patch(o, p)
			c.fits(o)
			return c.write(sub+" "+short(o)+state(o), func() error { return s.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, s client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			d := &client.DeleteOptions{}
			d.ApplyOptions(opts)
			if d.Preconditions == nil || d.Preconditions.UID == nil || *d.Preconditions.UID != o.GetUID() {
				c.t.Errorf("delete %s: not on condition of its UID", short(o))
			}
			return c.write("delete "+short(o), func() error { return s.Delete(ctx, o, opts...) })
		},
	})
	c.r = &Reconciler{
		Kube:   kube.New(cached, c.store, c.clock),
		Events: c.events, Now: c.clock, Calendar: c.clock,
		PolicyInForce: func() bool { return c.policy },
		Workloads:     c.drivers,
		Layers:        c.layers,
		Watch:         func(schema.GroupVersionKind) error { return nil },
	}
}

// staysServed has the test fail if a write takes a Service from ready pods to none. The pods of a workload that is gone go
// anyhow.
func (c *cluster) staysServed(o client.Object, write func() error) error {
	before := &corev1.Service{}
	if _, is := o.(*corev1.Service); !is || c.deployment() == nil || !c.get(before, o.GetName()) {
		return write()
	}
	served, err := len(c.pods(before.Spec.Selector)), write()
	after := &corev1.Service{}
	if err == nil && c.get(after, o.GetName()) && served > 0 && len(c.pods(after.Spec.Selector)) == 0 {
		c.t.Errorf("Service %s led to %d ready pods, and leads to none by %v", o.GetName(), served, after.Spec.Selector)
	}
	return err
}

func (c *cluster) clock() time.Time { return c.now }

// condense does what the cache does.
func condense(t *testing.T, o client.Object) {
	t.Helper()
	if u, ok := o.(*unstructured.Unstructured); ok && u.GroupVersionKind().Group != routeKind.Group {
		if _, err := workload.Condense(u); err != nil {
			t.Error(err)
		}
	}
}

// errLost is no answer at all.
var errLost = errors.New("connection lost")

// diesAfter has the process die after its n-th write, whose answer it never sees. hit is that write, once it was made.
func (c *cluster) diesAfter(n int, hit *string) {
	c.failure = func(i int, write string) (error, bool) {
		if i != n {
			return nil, false
		}
		*hit = write
		c.restart()
		return errLost, true
	}
}

func (c *cluster) write(what string, do func() error) error {
	c.writes = append(c.writes, what)
	if c.failure != nil {
		if err, commit := c.failure(len(c.writes), what); err != nil {
			if commit {
				_ = do()
			}
			return err
		}
	}
	if c.drops != nil && c.drops(what) {
		return nil
	}
	return do()
}

func short(o client.Object) string {
	kind := o.GetObjectKind().GroupVersionKind().Kind
	if kind == "" {
		kind = strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.")
		kind = strings.TrimPrefix(kind, "*v1.")
	}
	return kind + " " + o.GetName()
}

// state is what a status says in a word.
func state(o client.Object) string {
	switch o := o.(type) {
	case *v1alpha1.Rollout:
		reason := ""
		if w := o.Status.WaitingFor; w != nil {
			reason = "/" + w.Reason
		}
		return " " + string(o.Status.Phase) + reason
	case *v1alpha1.Release:
		return " " + string(o.Status.Phase)
	case *v1alpha1.Decision:
		return " " + string(o.Status.Outcome) + "/" + o.Status.Reason
	}
	return ""
}

// patch is a patch's content without its precondition, which must be there.
func (c *cluster) patch(o client.Object, p client.Patch) string {
	raw, err := p.Data(o)
	if err != nil {
		c.t.Error(err)
		return ""
	}
	if p.Type() == types.JSONPatchType {
		return c.operations(o, raw)
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil {
		c.t.Error(err)
		return ""
	}
	meta, _ := data["metadata"].(map[string]any)
	if meta["resourceVersion"] == nil {
		c.t.Errorf("patch %s: not on condition of its resourceVersion: %s", short(o), raw)
	}
	delete(meta, "resourceVersion")
	if len(meta) == 0 {
		delete(data, "metadata")
	}
	out, _ := json.Marshal(data)
	return string(out)
}

// fits checks that the API server would store a status.
func (c *cluster) fits(o client.Object) {
	kind := reflect.TypeOf(o).Elem().Name()
	err := boundtest.Check(kind, o)
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), ", ") {
		if strings.Contains(line, "status") {
			c.t.Errorf("the status of %s %s would be refused: %s", kind, o.GetName(), line)
		}
	}
}

// operations are a JSON patch's changes, without the tests that they are conditional on; there must be such.
func (c *cluster) operations(o client.Object, raw []byte) string {
	var all []struct{ Op, Path string }
	if err := json.Unmarshal(raw, &all); err != nil {
		c.t.Error(err)
	}
	var out []string
	tested := false
	for _, op := range all {
		if op.Op == "test" {
			tested = true
		} else {
			out = append(out, op.Op+" "+op.Path)
		}
	}
	if !tested {
		c.t.Errorf("patch %s: on no condition: %s", short(o), raw)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// born gives an object what the API server gives it.
func (c *cluster) born(o client.Object) {
	c.made++
	if o.GetUID() == "" {
		o.SetUID(types.UID(fmt.Sprintf("%s-%s-%d", strings.ToLower(strings.Fields(short(o))[0]), o.GetName(), c.made)))
	}
	o.SetGeneration(max(1, o.GetGeneration()))
	if at := o.GetCreationTimestamp(); at.IsZero() {
		o.SetCreationTimestamp(metav1.NewTime(c.now))
	}
}

// add is the team's writing of a new object.
func (c *cluster) add(o client.Object) {
	c.t.Helper()
	c.born(o)
	if err := c.store.Create(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) get(o client.Object, name string) bool {
	c.t.Helper()
	err := c.store.Get(c.t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, o)
	if err != nil && !apierrors.IsNotFound(err) {
		c.t.Fatal(err)
	}
	return err == nil
}

func (c *cluster) deployment() *unstructured.Unstructured {
	c.t.Helper()
	d := untyped(c.kinds.Workload)
	if !c.get(d, shop) {
		return nil
	}
	return d
}

func (c *cluster) rollout() *v1alpha1.Rollout {
	c.t.Helper()
	ro := &v1alpha1.Rollout{}
	if !c.get(ro, shop) {
		return nil
	}
	return ro
}

func (c *cluster) release(name string) *v1alpha1.Release {
	c.t.Helper()
	rel := &v1alpha1.Release{}
	if !c.get(rel, name) {
		return nil
	}
	return rel
}

// tells is what the objects say of themselves.
func (c *cluster) tells() string {
	c.t.Helper()
	var out []string
	for _, o := range c.all() {
		var waits *v1alpha1.WaitingFor
		switch o := o.(type) {
		case *v1alpha1.Rollout:
			waits = o.Status.WaitingFor
		case *v1alpha1.Release:
			waits = o.Status.WaitingFor
		}
		text := short(o) + state(o)
		if waits != nil {
			text += " (" + waits.Reason + ": " + waits.Message + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// update is the team's writing of an object.
func (c *cluster) update(o client.Object) {
	c.t.Helper()
	if err := c.store.Update(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) delete(o client.Object) {
	c.t.Helper()
	if err := c.store.Delete(c.t.Context(), o); err != nil && !apierrors.IsNotFound(err) {
		c.t.Fatal(err)
	}
}

// setImage is the team's new revision, held by the admission policy in the same write.
func (c *cluster) setImage(image string) {
	c.t.Helper()
	d := c.deployment()
	setImage(d, image)
	d.SetGeneration(d.GetGeneration() + 1)
	if c.policy && d.GetLabels()[v1alpha1.LabelRollout] != "" {
		_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
		annotations := d.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[v1alpha1.AnnotationHeld], annotations[v1alpha1.AnnotationAuthors] = c.author, c.author
		d.SetAnnotations(annotations)
	}
	c.update(d)
}

func setImage(d *unstructured.Unstructured, image string) {
	_ = unstructured.SetNestedSlice(d.Object, []any{map[string]any{"name": "web", "image": image}}, "spec", "template", "spec", "containers")
}

// word is the name of the next Decision: "word", "word-1", ...
func (c *cluster) word() string {
	c.words++
	if c.words == 1 {
		return "word"
	}
	return fmt.Sprintf("word-%d", c.words-1)
}

// decide is the word of a person, who takes two seconds to see what there is.
func (c *cluster) decide(verb v1alpha1.DecisionVerb, release string) string {
	c.t.Helper()
	c.now = c.now.Add(2 * time.Second)
	d := &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.word()},
		Spec:       v1alpha1.DecisionSpec{Release: release, Verb: verb, User: "bob"},
	}
	c.add(d)
	return d.Name
}

// look is one Reconcile. It returns what was written, and what the Reconciler asked for.
func (c *cluster) look() ([]string, ctrl.Result, error) {
	c.t.Helper()
	return c.lookAt(shop)
}

// mustLook is a Reconcile that has to go well.
func (c *cluster) mustLook() {
	c.t.Helper()
	if _, _, err := c.look(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) lookAt(rollout string) ([]string, ctrl.Result, error) {
	c.t.Helper()
	before := len(c.writes)
	result, err := c.r.Reconcile(c.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: rollout}})
	return slices.Clone(c.writes[before:]), result, err
}

// settle lets time pass until nothing is written any more and Kubernetes has nothing to do: then only the next
// routine look, half a minute on, or a person could change something.
func (c *cluster) settle() {
	c.t.Helper()
	for range 400 {
		written, result, err := c.look()
		moved := c.kubernetes()
		switch {
		case err != nil:
			c.now = c.now.Add(100 * time.Millisecond)
		case len(written) > 0 || moved:
			c.now = c.now.Add(10 * time.Millisecond)
		case result.RequeueAfter == 0 || result.RequeueAfter >= recheck:
			c.wantTruth()
			return
		default:
			c.now = c.now.Add(result.RequeueAfter)
		}
	}
	_, result, err := c.look()
	c.t.Fatalf("it does not come to rest (%v, %v): %s; the last writes:\n%s", result, err, c.tells(), strings.Join(c.writes[max(0, len(c.writes)-20):], "\n"))
}

// kubernetes does one round of what its controllers do. It says whether anything changed.
func (c *cluster) kubernetes() bool {
	c.t.Helper()
	moved := false
	for _, step := range []func() bool{c.collectGarbage, c.runWorkloads, c.runReplicaSets, c.runEndpoints, c.runAnalyses} {
		moved = step() || moved
	}
	return moved
}

// runAnalyses gives every analysis the verdict that the test wants.
func (c *cluster) runAnalyses() bool {
	c.t.Helper()
	list := &v1alpha1.AnalysisRunList{}
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	moved := false
	for i := range list.Items {
		if run := &list.Items[i]; run.Status.Phase == "" && c.verdict != "" {
			run.Status.Phase, run.Status.Message = c.verdict, "as the test says"
			c.update(run)
			moved = true
		}
	}
	return moved
}

func (c *cluster) sets() []unstructured.Unstructured {
	c.t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(c.kinds.Part)
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

// runWorkloads is the Deployment controller: rolling updates are done at once, since they are not what is tested.
func (c *cluster) runWorkloads() bool {
	c.t.Helper()
	moved := false
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(c.kinds.Workload)
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	for i := range list.Items {
		moved = c.runWorkload(&list.Items[i]) || moved
	}
	return moved
}

func (c *cluster) runDeployment(d *unstructured.Unstructured) bool {
	c.t.Helper()
	moved := c.setStatus(d, map[string]any{"observedGeneration": d.GetGeneration()})
	wanted, owned := workload.TemplateOf(d).Hash, []*unstructured.Unstructured{}
	var current *unstructured.Unstructured
	for _, rs := range c.sets() {
		if metav1.GetControllerOf(&rs) == nil && len(rs.GetOwnerReferences()) > 0 {
			rs.SetOwnerReferences(append(rs.GetOwnerReferences(), deployment.Owner(d))) // By its selector.
			c.update(&rs)
			moved = true
		}
		if workload.OwnedBy(&rs, d.GetUID()) {
			owned = append(owned, &rs)
			if workload.TemplateOf(&rs).Hash == wanted && !workload.TemplateOf(&rs).Former {
				current = &rs
			}
		}
	}
	if deployment.Paused(d) {
		return c.keepSize(d, owned, current) || moved
	}
	if current == nil {
		yes := true
		current = deployment.Next(d, metav1.OwnerReference{
			APIVersion: "apps/v1", Kind: "Deployment", Name: d.GetName(), UID: d.GetUID(), Controller: &yes,
		}, nil, workload.Short(wanted, 0), 0)
		current.SetName(current.GetName() + "k")
		labels := current.GetLabels()
		labels[v1alpha1.LabelPodTemplateHash] += "k"
		current.SetLabels(labels)
		_ = unstructured.SetNestedField(current.Object, labels[v1alpha1.LabelPodTemplateHash], "spec", "template", "metadata", "labels", v1alpha1.LabelPodTemplateHash)
		_ = unstructured.SetNestedField(current.Object, labels[v1alpha1.LabelPodTemplateHash], "spec", "selector", "matchLabels", v1alpha1.LabelPodTemplateHash)
		for c.get(untyped(deployment.ReplicaSetKind), current.GetName()) {
			current.SetName(current.GetName() + "k")
		}
		c.add(current)
		owned = append(owned, current)
	}
	for _, rs := range owned {
		want := 0
		if rs.GetUID() == current.GetUID() {
			want = deployment.Replicas(d)
		}
		after := rs.DeepCopy()
		annotations := after.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["deployment.kubernetes.io/revision"] = "1"
		after.SetAnnotations(annotations)
		_ = unstructured.SetNestedField(after.Object, int64(want), "spec", "replicas")
		if !equality.Semantic.DeepEqual(rs.Object, after.Object) {
			c.update(after)
			moved = true
		}
	}
	return moved
}

// keepSize is what the Deployment controller does while the Deployment is paused: its only ReplicaSet with pods, or else
// its newest one, has the Deployment's size; if several have pods and the one of the template is full, the others end.
func (c *cluster) keepSize(d *unstructured.Unstructured, owned []*unstructured.Unstructured, current *unstructured.Unstructured) bool {
	c.t.Helper()
	var active []*unstructured.Unstructured
	for _, rs := range owned {
		if deployment.Replicas(rs) > 0 {
			active = append(active, rs)
		}
	}
	want := map[types.UID]int{}
	full := current != nil && deployment.ReadTrack(current, d.GetUID()).Ready >= deployment.Replicas(d)
	switch {
	case len(active) == 1:
		want[active[0].GetUID()] = deployment.Replicas(d)
	case len(active) == 0 && current != nil:
		want[current.GetUID()] = deployment.Replicas(d)
	case len(active) == 0 && len(owned) > 0:
		want[owned[len(owned)-1].GetUID()] = deployment.Replicas(d)
	case full:
		for _, rs := range active {
			want[rs.GetUID()] = 0
		}
		want[current.GetUID()] = deployment.Replicas(d)
	}
	moved := false
	for _, rs := range owned {
		if n, is := want[rs.GetUID()]; is && n != deployment.Replicas(rs) {
			c.update(deployment.Scaled(rs, n))
			moved = true
		}
	}
	return moved
}

// broken is the image of which no pod ever becomes ready.
const broken = "shop:broken"

// answers says whether pods of an image become ready, and are now.
func (c *cluster) answers(image string) bool {
	return image != broken && !c.now.Before(c.outages[image])
}

func (c *cluster) runReplicaSets() bool {
	c.t.Helper()
	moved := false
	for _, rs := range c.sets() {
		n := int64(deployment.Replicas(&rs))
		status := map[string]any{"replicas": n, "observedGeneration": rs.GetGeneration()}
		if images := workload.TemplateOf(&rs).Images; n > 0 && (len(images) == 0 || c.answers(images[0].Image)) {
			status["availableReplicas"], status["readyReplicas"] = n, n
		}
		moved = c.setStatus(&rs, status) || moved
	}
	return moved
}

// setStatus says whether it changed.
func (c *cluster) setStatus(o *unstructured.Unstructured, status map[string]any) bool {
	c.t.Helper()
	if before, _, _ := unstructured.NestedMap(o.Object, "status"); equality.Semantic.DeepEqual(before, status) {
		return false
	}
	o.Object["status"] = status
	if err := c.store.Status().Update(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
	return true
}

func (c *cluster) runEndpoints() bool {
	c.t.Helper()
	list := &corev1.ServiceList{}
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	moved := false
	for i := range list.Items {
		moved = c.sliceOf(&list.Items[i]) || moved
	}
	return moved
}

func (c *cluster) sliceOf(s *corev1.Service) bool {
	c.t.Helper()
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: s.Name, Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: s.Name, UID: s.UID, Controller: ptr.To(true)}},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	selected := c.pods(s.Spec.Selector)
	for _, p := range s.Spec.Ports {
		if c.portOf == "" || len(selected) > 0 && strings.HasPrefix(selected[0], c.setOf(c.portOf)+"-") {
			want.Ports = append(want.Ports, discoveryv1.EndpointPort{Name: &p.Name})
		}
	}
	for _, pod := range selected {
		want.Endpoints = append(want.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod},
		})
	}
	have := &discoveryv1.EndpointSlice{}
	if !c.get(have, s.Name) {
		c.add(want)
		return true
	}
	if equality.Semantic.DeepEqual(have.Endpoints, want.Endpoints) && len(have.Ports) == len(want.Ports) && have.OwnerReferences[0].UID == s.UID {
		return false
	}
	have.Endpoints, have.OwnerReferences, have.Ports = want.Endpoints, want.OwnerReferences, want.Ports
	c.update(have)
	return true
}

// setOf is the name of an image's ReplicaSet.
func (c *cluster) setOf(image string) string {
	c.t.Helper()
	for _, rs := range c.sets() {
		if images := workload.TemplateOf(&rs).Images; len(images) > 0 && images[0].Image == image {
			return rs.GetName()
		}
	}
	return "none"
}

// pods are the names of the ready pods that a selector finds.
func (c *cluster) pods(selector map[string]string) []string {
	c.t.Helper()
	var out []string
	for _, rs := range c.sets() {
		labels, _, _ := unstructured.NestedStringMap(rs.Object, "spec", "template", "metadata", "labels")
		labels[c.kinds.Mark] = rs.GetLabels()[c.kinds.Mark]
		matches := true
		for k, v := range selector {
			matches = matches && labels[k] == v
		}
		ready, _, _ := unstructured.NestedInt64(rs.Object, "status", "availableReplicas")
		for i := range int(ready) {
			if matches {
				out = append(out, fmt.Sprintf("%s-x%04d", rs.GetName(), i))
			}
		}
	}
	return out
}

// collectGarbage removes what has lost its owner.
func (c *cluster) collectGarbage() bool {
	c.t.Helper()
	all := c.all()
	uids := map[types.UID]bool{}
	for _, o := range all {
		uids[o.GetUID()] = true
	}
	moved := false
	for _, o := range all {
		if rel, ok := o.(*v1alpha1.Release); ok && !rel.Status.Phase.Terminal() {
			continue // The admission policy sluice-keep-release.
		}
		owners := o.GetOwnerReferences()
		solid := slices.DeleteFunc(slices.Clone(owners), func(r metav1.OwnerReference) bool { return !uids[r.UID] })
		switch {
		case len(owners) == len(solid) || o.GetDeletionTimestamp() != nil:
		case len(solid) == 0:
			c.delete(o)
			moved = true
		default:
			o.SetOwnerReferences(solid)
			c.update(o)
			moved = true
		}
	}
	return moved
}

// all is every object in the namespace.
func (c *cluster) all() []client.Object {
	c.t.Helper()
	var out []client.Object
	for _, list := range []client.ObjectList{
		&v1alpha1.RolloutList{}, &v1alpha1.ReleaseList{}, &v1alpha1.HoldList{}, &v1alpha1.DecisionList{},
		&corev1.ServiceList{}, &networkingv1.IngressList{}, &discoveryv1.EndpointSliceList{},
	} {
		if err := c.store.List(c.t.Context(), list); err != nil {
			c.t.Fatal(err)
		}
		out = append(out, objectsOf(c.t, list)...)
	}
	for _, rs := range c.sets() {
		out = append(out, &rs)
	}
	for _, kind := range append([]schema.GroupVersionKind{c.kinds.Workload}, c.routes...) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := c.store.List(c.t.Context(), list); err != nil {
			c.t.Fatal(err)
		}
		for i := range list.Items {
			out = append(out, &list.Items[i])
		}
	}
	return out
}

// The team's objects of most tests.

func team(objects ...client.Object) []client.Object {
	return append([]client.Object{shopDeployment("shop:v1"), ownSet("shop:v1", 4), webService(), webIngress()}, objects...)
}

func shopDeployment(image string) *unstructured.Unstructured {
	d := untyped(deployment.Kind)
	d.SetNamespace(namespace)
	d.SetName(shop)
	d.SetUID("deploy-1")
	d.Object["spec"] = map[string]any{
		"replicas": int64(4),
		"selector": map[string]any{"matchLabels": map[string]any{"app": shop}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": shop}},
			"spec":     map[string]any{"containers": []any{}},
		},
	}
	setImage(d, image)
	d.Object["status"] = map[string]any{"observedGeneration": int64(1)}
	return d
}

// ownSet is the ReplicaSet that the Deployment controller has made of a revision.
func ownSet(image string, replicas int) *unstructured.Unstructured {
	d := shopDeployment(image)
	rs := deployment.Next(d, deployment.Owner(d), nil, workload.Short(workload.TemplateOf(d).Hash, 0), replicas)
	rs.SetUID(types.UID("set-" + image))
	rs.SetAnnotations(map[string]string{"deployment.kubernetes.io/revision": "1"})
	labels := rs.GetLabels()
	delete(labels, v1alpha1.LabelRollout)
	rs.SetLabels(labels)
	n := int64(replicas)
	rs.Object["status"] = map[string]any{"replicas": n, "availableReplicas": n, "readyReplicas": n, "observedGeneration": int64(1)}
	return rs
}

func webService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", UID: "service-web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": shop}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func webIngress() *networkingv1.Ingress {
	path := networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", UID: "ingress-web"},
		Spec: networkingv1.IngressSpec{
			IngressClassName: ptr.To("nginx"),
			Rules: []networkingv1.IngressRule{{
				Host: "shop.example.com",
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &path,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"},
					}},
				}}}},
			}},
		},
	}
}

// canary is a Rollout of shop by the Ingress, through these weights; the last waits for a person.
func canary(weights ...int32) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: shop, UID: "rollout-1"},
		Spec: v1alpha1.RolloutSpec{
			Workload: v1alpha1.WorkloadReference{Kind: "Deployment", Name: shop},
			Traffic:  []v1alpha1.TrafficLayer{{Ingress: &v1alpha1.IngressReference{Name: "web"}}},
		},
	}
	for _, w := range weights {
		ro.Spec.Canary.Steps = append(ro.Spec.Canary.Steps, v1alpha1.CanaryStep{Weight: ptr.To(w)})
	}
	ro.Spec.Canary.Steps[len(weights)-1].Pause = &v1alpha1.Pause{}
	return ro
}

func objectsOf(t *testing.T, list client.ObjectList) []client.Object {
	t.Helper()
	var out []client.Object
	switch l := list.(type) {
	case *v1alpha1.RolloutList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *v1alpha1.ReleaseList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *v1alpha1.HoldList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *v1alpha1.DecisionList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *corev1.ServiceList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *networkingv1.IngressList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	case *discoveryv1.EndpointSliceList:
		for i := range l.Items {
			out = append(out, &l.Items[i])
		}
	default:
		t.Fatalf("%T", list)
	}
	return out
}
