package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/beside"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/workload"
)

// carrier carries one decision out. Every write is conditional on the version that the decision was made on, so
// whatever has happened in between, nothing is overwritten: the write fails and the next decision sees it.
type carrier struct {
	r     *Reconciler
	write *kube.Writer
	w     *world
	rel   *v1alpha1.Release
}

// do carries one action out.
func (c *carrier) do(ctx context.Context, a release.Action) error {
	switch a := a.(type) {
	case release.SelectService:
		return c.selectService(ctx, a)
	case release.EnsureCanaryService:
		return c.ensureTwin(ctx, a.Service)
	case release.RemoveCanaryService:
		return c.removeTwin(ctx, a.Service)
	case release.Route:
		return c.route(ctx, a)
	case release.Unroute:
		return c.unroute(ctx, a.Layer)
	case release.Analyse:
		return c.analyse(ctx, a.ID)
	case release.ConcludeAnalysis:
		return c.conclude(ctx, a.ID)
	case release.ScaleCanary, release.HandOver, release.ScaleOld, release.GiveOld, release.PauseWorkload,
		release.TakeBack, release.RemoveLoose, release.ResumeWorkload, release.RevertTemplate, release.RemoveCanary:
		return c.work(ctx, a)
	}
	return fmt.Errorf("carry out %T: no such action", a)
}

// work has the driver carry an action out.
func (c *carrier) work(ctx context.Context, a release.Action) error {
	_, err := c.r.do(ctx, c.write, c.w, a)
	if errors.Is(err, workload.ErrNoTemplate) {
		kind, name := c.w.kind(), c.w.rollout.Spec.Workload.Name
		return &obstacle{fmt.Sprintf("the pod template of the stable revision %[1]s is not to be found: no %[2]s of %[3]s "+
			"%[4]q has it, and no record; write the template that you want to the %[3]s",
			workload.Describe(c.rel.Spec.From), c.w.driver.Kinds().Part.Kind, kind, name)}
	}
	return err
}

// selectService has a Service select one version's pods, or what the team wrote. The Hold stands before the Service is
// changed and goes after it is back: at whatever write the process dies, the team's selector is known.
func (c *carrier) selectService(ctx context.Context, a release.SelectService) error {
	s := c.w.service(a.Service)
	if s == nil {
		return nil
	}
	if a.To == release.SelectsAll {
		if err := c.giveBack(ctx, s); err != nil || s.hold == nil {
			return err
		}
		return c.write.Delete(ctx, s.hold)
	}
	of := c.w.trackOf(a.To)
	// Without the hash the selector would match the pods of both versions.
	if of.hash == "" {
		return fmt.Errorf("select the %s pods by Service %s: nothing that runs them is there", a.To, a.Service)
	}
	if err := c.hold(ctx, s.hold, serviceTarget(a.Service), map[string]any{"selector": s.original}); err != nil {
		return err
	}
	return c.point(ctx, s, of.narrow(s.original))
}

// point gives a Service of the team's another selector. Every such write passes here, in a release, at rest and when
// things are given back; the guard has the last word.
func (c *carrier) point(ctx context.Context, s *service, selector map[string]string) error {
	if v := c.w.breaks(s, selector); v != nil {
		return &obstacle{release.GuardMessage(*v)}
	}
	after := s.object.DeepCopy()
	after.Spec.Selector = selector
	return c.write.Patch(ctx, s.object, after)
}

// breaks says which rule it would break to give a Service this selector; nil for none.
func (w *world) breaks(s *service, selector map[string]string) *release.Violation {
	return release.CheckSelector(s.object.Name, w.ready(s.object.Spec.Selector), w.ready(selector))
}

// hold records an object's original before it is changed.
func (c *carrier) hold(ctx context.Context, existing *v1alpha1.Hold, target v1alpha1.HoldTarget,
	original map[string]any,
) error {
	raw, err := json.Marshal(original)
	if err != nil {
		return fmt.Errorf("record the original of %s %s: %w", target.Kind, target.Name, err)
	}
	if existing != nil {
		after := existing.DeepCopy()
		// It may be left of an earlier release.
		after.Labels, after.OwnerReferences = c.labels(), []metav1.OwnerReference{c.owner()}
		after.Spec.Release = c.releaseName()
		if existing.Spec.Original == nil || !sameJSON(existing.Spec.Original.Raw, raw) {
			after.Spec.Original = &runtime.RawExtension{Raw: raw}
		}
		return c.write.Patch(ctx, existing, after)
	}
	made := &v1alpha1.Hold{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.w.rollout.Namespace, Name: naming.Hold(c.owner().Name, target.Kind, target.Name),
			Labels: c.labels(), OwnerReferences: []metav1.OwnerReference{c.owner()},
		},
		Spec: v1alpha1.HoldSpec{Release: c.releaseName(), Target: target, Original: &runtime.RawExtension{Raw: raw}},
	}
	err = c.write.Create(ctx, made)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there := &v1alpha1.Hold{}
	// Past the cache, which has just shown that there is none.
	if err := c.r.Kube.Live.Get(ctx, client.ObjectKeyFromObject(made), there); err != nil {
		return fmt.Errorf("read Hold %s: %w", made.Name, err)
	}
	if owner := metav1.GetControllerOf(there); owner == nil || owner.UID != c.owner().UID {
		return &obstacle{fmt.Sprintf("the Hold %q exists already and is not %s's; it may come from a backup: remove it",
			made.Name, c.owner().Name)}
	}
	return nil // The cache will show it.
}

// obstacle is what stands in the way of a write until a person removes it, in a sentence for people.
type obstacle struct{ message string }

func (o *obstacle) Error() string { return o.message }

func isObstacle(err error) bool {
	_, is := errors.AsType[*obstacle](err)
	return is
}

// ensureTwin makes the canary Service beside one of the team's, or sets the one that is there right. One of that name
// that is somebody else's is left alone.
func (c *carrier) ensureTwin(ctx context.Context, name string) error {
	s, part := c.w.service(name), c.w.seen.Canary
	if s == nil || part == nil {
		return nil
	}
	selector := c.w.track(part).narrow(s.original)
	if s.twin != nil {
		if !c.w.madeTwin(s.twin) {
			return nil // Which is a trouble that observeTraffic has told of.
		}
		after := s.twin.DeepCopy()
		after.Spec.Selector = selector
		c.dress(after, s.object)
		after.OwnerReferences = []metav1.OwnerReference{ownerOf(c.rel)} // It may be left of an earlier release.
		return c.write.Patch(ctx, s.twin, after)
	}
	made := twin(s.object, c.w.twinName(name), selector, ownerOf(c.rel))
	c.dress(made, s.object)
	return ignoreExists(c.write.Create(ctx, made))
}

// dress gives a twin the labels and annotations of the team's Service, so that it is found and treated like it.
// Annotations that others have added to the twin stay. Whose the twin is does not follow from any of them.
func (c *carrier) dress(twin, team *corev1.Service) {
	twin.Labels = beside.Labels(team.Labels)
	maps.Copy(twin.Labels, c.labels())
	for k, v := range beside.ServiceAnnotations(team.Annotations) {
		if twin.Annotations == nil {
			twin.Annotations = map[string]string{}
		}
		twin.Annotations[k] = v
	}
}

// redress has the twins follow what the team changes of its Services' labels and annotations.
func (c *carrier) redress(ctx context.Context, actions []release.Action) error {
	for _, s := range c.w.services {
		if s.twin == nil || !c.w.madeTwin(s.twin) || s.twin.DeletionTimestamp != nil || twinTouched(actions, s.object.Name) {
			continue
		}
		after := s.twin.DeepCopy()
		c.dress(after, s.object)
		if len(without(after.Labels, s.twin.Labels)) == 0 && len(without(after.Annotations, s.twin.Annotations)) == 0 {
			continue // What others have added is no reason to write.
		}
		if err := c.write.Patch(ctx, s.twin, after); err != nil {
			return err
		}
	}
	return nil
}

// twin is a Service like the team's for the pods of the canary.
func twin(s *corev1.Service, name string, selector map[string]string, owner metav1.OwnerReference) *corev1.Service {
	out := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: selector,
			SessionAffinity: s.Spec.SessionAffinity, SessionAffinityConfig: s.Spec.SessionAffinityConfig,
			IPFamilyPolicy: s.Spec.IPFamilyPolicy, IPFamilies: s.Spec.IPFamilies,
			InternalTrafficPolicy: s.Spec.InternalTrafficPolicy,
		},
	}
	for _, p := range s.Spec.Ports {
		// A node port can belong to one Service only: the API server refuses it to a second.
		p.NodePort = 0
		out.Spec.Ports = append(out.Spec.Ports, p)
	}
	// A headless Service has a headless twin. Any other address is the team's Service's own, and the twin is given
	// another.
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		out.Spec.ClusterIP = corev1.ClusterIPNone
	}
	return out
}

func (c *carrier) removeTwin(ctx context.Context, name string) error {
	s := c.w.service(name)
	if s == nil || s.twin == nil || !c.w.madeTwin(s.twin) {
		return nil
	}
	c.r.firstReady.forget(s.twin.UID)
	return c.write.Delete(ctx, s.twin)
}

// route has a layer divide the requests. The provider says which objects that changes, and writes nothing itself.
func (c *carrier) route(ctx context.Context, a release.Route) error {
	l := c.w.layer(a.Layer)
	if l == nil {
		return nil
	}
	return c.change(ctx, l, l.provider.Apply(l.world, traffic.Split{Weight: a.Weight, Matches: a.Matches}))
}

// unroute takes everything that releases of this Rollout have added to a layer off it.
func (c *carrier) unroute(ctx context.Context, name string) error {
	l := c.w.layer(name)
	if l == nil {
		return nil
	}
	return c.change(ctx, l, l.provider.Restore(l.world))
}

// change carries a provider's changes out, in their order.
func (c *carrier) change(ctx context.Context, l *layer, changes []traffic.Change) error {
	for _, ch := range changes {
		if err := c.changeOne(ctx, l, ch); err != nil {
			return err
		}
	}
	return nil
}

// changeOne carries the change of one object out: the Hold stands before the object is touched, and goes after it is
// back.
func (c *carrier) changeOne(ctx context.Context, l *layer, ch traffic.Change) error {
	now := l.world.Objects[ch.Ref]
	switch part := l.part(ch.Ref); {
	case part == traffic.Changes:
		return c.changeTeams(ctx, l, ch, now)
	case part == traffic.Makes && ch.After != nil:
		return c.beside(ctx, now, ch.After)
	case part == traffic.Makes && ch.Remove && now != nil:
		return c.write.Delete(ctx, now)
	case part != traffic.Makes: // A fault in the provider, from which nothing of the team's may suffer.
		return fmt.Errorf("change %s by layer %s: it is none of the layer's to change", ch.Ref, l.name)
	}
	return nil
}

// changeTeams carries the change of one of the team's objects out. now is nil if there is no such object any more.
func (c *carrier) changeTeams(ctx context.Context, l *layer, ch traffic.Change, now *unstructured.Unstructured) error {
	if ch.Hold != nil && now != nil {
		if err := c.holdShared(ctx, l, ch.Ref, ch.Hold); err != nil {
			return err
		}
	}
	if ch.After != nil {
		if now == nil || l.holds[ch.Ref] == nil { // As above.
			return fmt.Errorf("change %s by layer %s: it is not held", ch.Ref, l.name)
		}
		if err := c.write.Patch(ctx, now, ch.After); err != nil {
			return err
		}
		now = ch.After
	}
	if ch.ReleaseHold && l.holds[ch.Ref] != nil {
		return c.leave(ctx, l, ch.Ref, now)
	}
	return nil
}

// beside makes an object beside the team's, or gives the one that is there what is wanted of it.
func (c *carrier) beside(ctx context.Context, existing, wanted *unstructured.Unstructured) error {
	after := wanted.DeepCopy()
	if existing != nil {
		// All of its content and annotations: one that somebody added may steer requests.
		after.Object["metadata"] = existing.DeepCopy().Object["metadata"]
		after.SetAnnotations(wanted.GetAnnotations())
		if status, reported := existing.Object["status"]; reported {
			after.Object["status"] = status
		}
	}
	all := after.GetLabels()
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, c.labels())
	after.SetLabels(all)
	after.SetOwnerReferences([]metav1.OwnerReference{ownerOf(c.rel)})
	if existing != nil {
		return c.write.Patch(ctx, existing, after)
	}
	return c.write.Create(ctx, after)
}

// restore works the team's edits into routes and Holds that the core is content with, and sets right what others have
// changed of ours.
func (c *carrier) restore(ctx context.Context, actions []release.Action, guard func([]release.Action) error) error {
	if err := c.renewHolds(ctx, actions); err != nil {
		return err
	}
	for _, l := range c.w.layers {
		if !l.state.Routed || l.state.Accepted || steered(actions, l.name) {
			continue
		}
		again := release.Route{Layer: l.name, Weight: l.state.Weight, Matches: l.state.Matches}
		if err := guard([]release.Action{again}); err != nil {
			return err
		}
		if err := c.route(ctx, again); err != nil {
			return err
		}
	}
	return c.redress(ctx, actions)
}

// steered says whether a decision does something about a layer itself.
func steered(actions []release.Action, layer string) bool {
	return slices.ContainsFunc(actions, func(a release.Action) bool {
		switch a := a.(type) {
		case release.Route:
			return a.Layer == layer
		case release.Unroute:
			return a.Layer == layer
		default:
			return false
		}
	})
}

// labels mark everything that the release makes.
func (c *carrier) labels() map[string]string {
	if c.rel == nil {
		return map[string]string{v1alpha1.LabelRollout: c.w.rollout.Name}
	}
	return map[string]string{v1alpha1.LabelRollout: c.w.rollout.Name, v1alpha1.LabelRelease: c.rel.Name}
}

// owner is the release that makes an object, or, while none is under way, the Rollout.
func (c *carrier) owner() metav1.OwnerReference {
	if c.rel == nil {
		return *metav1.NewControllerRef(c.w.rollout, v1alpha1.GroupVersion.WithKind("Rollout"))
	}
	return ownerOf(c.rel)
}

// releaseName is empty while no release is under way: a Hold that is kept at rest belongs to the Rollout.
func (c *carrier) releaseName() string {
	if c.rel == nil {
		return ""
	}
	return c.rel.Name
}

func (w *world) service(name string) *service {
	for _, s := range w.services {
		if s.object.Name == name {
			return s
		}
	}
	return nil
}

func (w *world) layer(name string) *layer {
	for _, l := range w.layers {
		if l.name == name {
			return l
		}
	}
	return nil
}

func ownerOf(rel *v1alpha1.Release) metav1.OwnerReference { return *workload.NewOwner(rel) }

// sameJSON compares by content: the API server stores an object's fields in an order of its own. What cannot be read
// is not the same, so that it is written anew.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && equality.Semantic.DeepEqual(x, y)
}

// errChanged: the cache shows less than there is.
var errChanged = errors.New("the object has just been changed")

// ignoreExists: what a repetition finds made already is made.
func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
