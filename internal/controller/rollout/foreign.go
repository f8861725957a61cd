package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file sees what nobody can prevent: whoever may edit pods and what makes them can have pods serve that no release
// brought. Pods are in no cache. They are read when the endpoints of the workload's Services have changed, and not more
// often than lookEvery; with a release under way every recheck, for the routes too.

const (
	// lookEvery bounds how often one Rollout's pods are read, lookApart how close after each other those of any two.
	lookEvery, lookApart = 10 * time.Second, 50 * time.Millisecond
	// podsLooked bounds how many pods one look reads, told how many are named.
	podsLooked, toldOf = 500, 5
)

// looks remembers when each Rollout's pods were read, and what their endpoints were then. A restart reads them once
// more.
type looks struct {
	mu   sync.Mutex
	seen map[types.UID]lookedAt
	next time.Time
	// fronts are the Rollouts behind each Service.
	fronts map[types.NamespacedName]map[string]bool
}

type lookedAt struct {
	endpoints string
	at        time.Time
}

// due says whether the pods are to be read now, or else when; zero if not before something changes.
func (l *looks) due(id types.UID, endpoints string, now time.Time, again time.Duration) (bool, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.seen[id]
	if known && last.endpoints == endpoints && (again == 0 || now.Before(last.at.Add(again))) {
		return false, time.Time{}
	}
	if at := last.at.Add(lookEvery); known && now.Before(at) {
		return false, at
	}
	if now.Before(l.next) {
		return false, l.next
	}
	if l.seen == nil {
		l.seen = map[types.UID]lookedAt{}
	}
	l.seen[id], l.next = lookedAt{endpoints, now}, now.Add(lookApart)
	return true, time.Time{}
}

func (l *looks) forget(id types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, id)
}

// front notes that a Rollout's workload is behind a Service.
func (l *looks) front(service types.NamespacedName, rollout string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fronts == nil {
		l.fronts = map[types.NamespacedName]map[string]bool{}
	}
	if l.fronts[service] == nil {
		l.fronts[service] = map[string]bool{}
	}
	l.fronts[service][rollout] = true
}

// behind are the Rollouts whose workloads are behind a Service, as far as they have been looked at.
func (l *looks) behind(service types.NamespacedName) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for name := range l.fronts[service] {
		out = append(out, name)
	}
	return out
}

// observeForeign looks for pods that serve and that no release brought. It says when to look again, if at a certain
// time.
func (r *Reconciler) observeForeign(ctx context.Context, w *world) time.Time {
	if w.object == nil || w.rollout.UID == "" || w.abandoned {
		return time.Time{}
	}
	if len(w.services) == 0 && len(w.traffic()) == 0 {
		if err := r.observeServices(ctx, w); err != nil {
			// This look only warns, so an error in it holds nothing up.
			log.FromContext(ctx).V(1).Info("look for the Services in front", "error", err.Error())
			return time.Time{}
		}
	}
	serving, endpoints := r.serving(ctx, w)
	again := time.Duration(0)
	if w.active() != nil {
		again = recheck
	}
	due, at := r.looks.due(w.rollout.UID, endpoints, w.now, again)
	if !due {
		return at
	}
	reason, says, err := r.foreign(ctx, w, serving)
	if err != nil {
		// Nothing was seen, so nothing is said, and the look is made again.
		log.FromContext(ctx).V(1).Info("look for what no release brought", "error", err.Error())
		r.looks.forget(w.rollout.UID)
		return w.now.Add(recheck)
	}
	w.unreleased = &metav1.Condition{
		Type: v1alpha1.ConditionUnreleasedPods, Status: metav1.ConditionFalse, ObservedGeneration: w.rollout.Generation,
		Reason: v1alpha1.ReasonNoneSeen, Message: "every pod that serves was brought by a release",
	}
	if reason != "" {
		w.unreleased.Status, w.unreleased.Reason, w.unreleased.Message = metav1.ConditionTrue, reason, clip(says)
		before := meta.FindStatusCondition(w.rollout.Status.Conditions, v1alpha1.ConditionUnreleasedPods)
		// An Event only when it is news; the condition stands as long as the pods serve.
		if before == nil || before.Status != metav1.ConditionTrue || before.Reason != reason {
			r.warn(w.rollout, release.Reason{Code: reason, Message: says})
		}
	}
	return time.Time{}
}

// foreign is the first thing that serves, or leads to the new pods, and that no release brought.
func (r *Reconciler) foreign(ctx context.Context, w *world, serving map[string]bool) (reason, says string, err error) {
	reason, says, err = r.foreignPods(ctx, w, serving)
	for _, look := range []func(context.Context, *world) (string, string, error){r.foreignServices, r.foreignRoutes} {
		if reason == "" && err == nil {
			reason, says, err = look(ctx, w)
		}
	}
	return reason, says, err
}

// serving are the names of the pods that are ready behind the workload's Services and their twins, and what tells that
// they have changed.
func (r *Reconciler) serving(ctx context.Context, w *world) (map[string]bool, string) {
	pods, versions := map[string]bool{}, []string{w.seen.Stable.Name()}
	for _, s := range w.services {
		for _, name := range []string{s.object.Name, w.twinName(s.object.Name)} {
			r.looks.front(types.NamespacedName{Namespace: w.rollout.Namespace, Name: name}, w.rollout.Name)
			list := &discoveryv1.EndpointSliceList{}
			if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace),
				client.MatchingFields{indexService: name}); err != nil {
				continue
			}
			for i := range list.Items {
				versions = append(versions, list.Items[i].Name+"@"+list.Items[i].ResourceVersion)
				for _, e := range list.Items[i].Endpoints {
					if e.TargetRef != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
						pods[e.TargetRef.Name] = true
					}
				}
			}
		}
	}
	slices.Sort(versions)
	return pods, strings.Join(versions, " ")
}

// foreignPods finds serving pods that no part of the released revision or of the running release controls, by UID,
// and those whose images somebody has changed since they were made.
func (r *Reconciler) foreignPods(ctx context.Context, w *world, serving map[string]bool) (
	reason, says string, err error,
) {
	released := map[types.UID]workload.Template{}
	for i := range w.seen.Parts {
		p := &w.seen.Parts[i]
		if stable := w.seen.Stable; stable != nil && p.Template.Hash == stable.Template.Hash || p.Is(w.seen.Canary) {
			released[p.UID()] = p.Template
		}
	}
	var foreign, changed []string
	seen := map[types.UID]bool{}
	for _, s := range w.services {
		list := &corev1.PodList{}
		err := r.Kube.Live.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingLabels(s.original),
			client.Limit(podsLooked))
		if err != nil {
			return "", "", fmt.Errorf("read the pods that serve: %w", err)
		}
		for i := range list.Items {
			p := &list.Items[i]
			if !serving[p.Name] || seen[p.UID] {
				continue
			}
			seen[p.UID] = true
			switch whose, ours := ownerOfPod(p, released, w.driver.Kinds().Part.Kind); {
			case !ours:
				foreign = append(foreign, whose)
			case edited(p, released[metav1.GetControllerOf(p).UID]):
				changed = append(changed, fmt.Sprintf("pod %s (%s)", p.Name, imagesOf(p)))
			}
		}
	}
	switch {
	case len(foreign) > 0:
		return v1alpha1.ReasonForeignPods, fmt.Sprintf("requests go to pods that no release of this Rollout brought: %s; "+
			"take the Service's labels off them, or delete them",
			strings.Join(preflight.FirstOf(sorted(foreign), toldOf), ", ")), nil
	case len(changed) > 0:
		return v1alpha1.ReasonImageChanged, fmt.Sprintf("requests go to pods whose images are not those of their %[2]s: "+
			"%[1]s; somebody has changed them, or made them by hand with its labels: delete them, and their %[2]s makes them "+
			"anew",
			strings.Join(preflight.FirstOf(sorted(changed), toldOf), ", "), w.driver.Kinds().Part.Kind), nil
	}
	return "", "", nil
}

// ownerOfPod says whether one of the released parts controls a pod, and otherwise which pod it is, of whom.
func ownerOfPod(p *corev1.Pod, released map[types.UID]workload.Template, part string) (whose string, ours bool) {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return fmt.Sprintf("pod %s (%s, of no %s)", p.Name, imagesOf(p), part), false
	}
	_, ours = released[owner.UID]
	return fmt.Sprintf("pod %s (%s, of %s %s)", p.Name, imagesOf(p), owner.Kind, owner.Name), ours
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// edited says whether a pod runs other images than its template says: somebody has changed them since it was made, or
// has made it himself and had the part adopt it by its labels. What an admission webhook rewrites in the create, as to
// name a mirror or a digest, is the same image. The API server raises a pod's generation with each later change of its
// spec, which is how an edit is told from what a webhook did.
func edited(p *corev1.Pod, t workload.Template) bool {
	for _, want := range t.Images {
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			if c.Name == want.Container && c.Image != want.Image && (p.Generation > 1 || !sameImage(c.Image, want.Image)) {
				return true
			}
		}
	}
	return false
}

// sameImage says whether two references name one image as far as can be told without asking a registry: the last part
// of the repository is the same, and the tag, unless one of them is pinned by its digest.
func sameImage(a, b string) bool {
	nameA, tagA, pinnedA := parseImage(a)
	nameB, tagB, pinnedB := parseImage(b)
	return nameA == nameB && (tagA == tagB || pinnedA || pinnedB)
}

// parseImage takes a reference apart: "registry:5000/team/shop:v1@sha256:..." is "shop", "v1", pinned.
func parseImage(ref string) (name, tag string, pinned bool) {
	ref, _, pinned = strings.Cut(ref, "@")
	name = ref[strings.LastIndex(ref, "/")+1:]
	name, tag, _ = strings.Cut(name, ":")
	return name, cmp.Or(tag, "latest"), pinned
}

func imagesOf(p *corev1.Pod) string {
	var out []string
	for _, c := range p.Spec.Containers {
		out = append(out, c.Image)
	}
	return strings.Join(preflight.FirstOf(out, 3), " ")
}

// foreignServices finds Services of others that lead to the pods of the release under way, and not to the stable ones:
// what is sent there is no share of any step.
func (r *Reconciler) foreignServices(ctx context.Context, w *world) (reason, says string, err error) {
	canary, stable := w.seen.Canary, w.seen.Stable
	if w.active() == nil || canary == nil || w.byPods() {
		return "", "", nil
	}
	list := &discoveryv1.EndpointSliceList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return "", "", fmt.Errorf("look for Services of others: %w", err)
	}
	for i := range list.Items {
		name := list.Items[i].Labels[discoveryv1.LabelServiceName]
		if name == "" || w.knows(name) {
			continue
		}
		leads := func(p *workload.Part) bool {
			return p != nil && slices.ContainsFunc(list.Items[i].Endpoints, func(e discoveryv1.Endpoint) bool {
				return e.TargetRef != nil && p.Runs(e.TargetRef.Name)
			})
		}
		if leads(canary) && !leads(stable) {
			return v1alpha1.ReasonForeignRoute, fmt.Sprintf("Service %s leads to pods of the new revision, so requests to it "+
				"get that revision past the weight of the step: give it a selector that both revisions match, or delete it",
				name), nil
		}
	}
	return "", "", nil
}

// knows says whether a Service is the team's in front of the workload, or a twin of one.
func (w *world) knows(name string) bool {
	return slices.Contains(w.untouched, name) || slices.ContainsFunc(w.services, func(s *service) bool {
		return s.object.Name == name || w.twinName(s.object.Name) == name
	})
}

// foreignRoutes finds routes of others that lead to the Service of the new pods, past every weight: objects of each
// kind that Sluice has a layer for, wherever the cluster serves it.
func (r *Reconciler) foreignRoutes(ctx context.Context, w *world) (reason, says string, err error) {
	rel := w.active()
	if rel == nil || !slices.ContainsFunc(w.services, func(s *service) bool { return s.twin != nil }) {
		return "", "", nil
	}
	for _, provider := range r.Layers.Each() {
		for _, kind := range kindsOf(provider) {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(kind)
			err := r.Kube.Live.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.Limit(podsLooked))
			if err != nil && !meta.IsNoMatchError(err) {
				return "", "", fmt.Errorf("look for %ss of others: %w", kind.Kind, err)
			}
			for i := range list.Items {
				if twin := w.leadsPast(provider, &list.Items[i], rel); twin != "" {
					return v1alpha1.ReasonForeignRoute, fmt.Sprintf("%[1]s %[2]s leads to Service %[3]s, which is Sluice's, "+
						"so requests get the new revision past the weight of the step: delete the %[1]s, or change its backend",
						kind.Kind, list.Items[i].GetName(), twin), nil
				}
			}
		}
	}
	return "", "", nil
}

// leadsPast is the canary Service that an object of somebody else's leads to; empty if it leads to none.
func (w *world) leadsPast(p traffic.Provider, route *unstructured.Unstructured, rel *v1alpha1.Release) string {
	if owner := metav1.GetControllerOf(route); owner != nil && owner.UID == rel.UID || w.changes(route) {
		return ""
	}
	for _, s := range w.services {
		if s.twin != nil && leads(p, route, s.twin.Name) {
			return s.twin.Name
		}
	}
	return ""
}

// changes says whether the release has changed the object itself, so that it leads to the new pods by their weight.
func (w *world) changes(route *unstructured.Unstructured) bool {
	of := traffic.RefOf(route)
	return slices.ContainsFunc(w.layers, func(l *layer) bool {
		own := l.world.Objects[of]
		return l.world.Holds[of].Held && own != nil && own.GetUID() == route.GetUID()
	})
}
