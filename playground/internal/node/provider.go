package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/workqueue"
)

// provider is what the virtual-kubelet library asks to run pods.
type provider struct {
	host   *host
	client kubernetes.Interface
	lister corev1listers.PodLister // the API server's view, as the library has it
	queue  workqueue.TypedInterface[*pod]

	mu     sync.RWMutex
	pods   map[types.NamespacedName]*pod
	notify func(*corev1.Pod)
}

func newProvider(h *host, client kubernetes.Interface, lister corev1listers.PodLister) *provider {
	v := &provider{
		host: h, client: client, lister: lister,
		queue: workqueue.NewTyped[*pod](),
		pods:  map[types.NamespacedName]*pod{},
	}
	h.changed = v.queue.Add
	return v
}

func nameOf(p *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

func (v *provider) find(namespace, name string) *pod {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.pods[types.NamespacedName{Namespace: namespace, Name: name}]
}

// CreatePod starts a pod. It is also called for every pod of the node after a restart.
func (v *provider) CreatePod(_ context.Context, api *corev1.Pod) error {
	ip, err := v.host.network.Allocate()
	if err != nil {
		return err
	}
	p := newPod(v.host, v.shared(api), ip)
	v.mu.Lock()
	v.pods[nameOf(api)] = p
	v.mu.Unlock()
	p.begin()
	return nil
}

// shared returns the API object as the informer's cache has it, if it does: the library
// gives away copies, and with thousands of pods one less each counts.
func (v *provider) shared(api *corev1.Pod) *corev1.Pod {
	if cached, err := v.lister.Pods(api.Namespace).Get(api.Name); err == nil && cached.UID == api.UID &&
		cached.Generation == api.Generation {
		return cached
	}
	return api
}

// UpdatePod takes a changed pod: labels, annotations, an image.
func (v *provider) UpdatePod(_ context.Context, api *corev1.Pod) error {
	p := v.find(api.Namespace, api.Name)
	if p == nil {
		return errdefs.NotFoundf("pod %s/%s is not on this node", api.Namespace, api.Name)
	}
	p.update(v.shared(api))
	return nil
}

// DeletePod ends a pod that has been deleted, or that the API server has no more.
func (v *provider) DeletePod(ctx context.Context, api *corev1.Pod) error {
	p := v.find(api.Namespace, api.Name)
	if p == nil {
		return v.deleteUnknown(ctx, api)
	}
	if v.gone(api) {
		v.discard(p)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.api = api
	grace := p.grace()
	if g := api.DeletionGracePeriodSeconds; g != nil {
		grace = seconds(*g)
	}
	p.end(grace)
	return nil
}

// deleteUnknown removes a pod of which nothing runs here, so that it does not sit out
// its grace period.
func (v *provider) deleteUnknown(ctx context.Context, api *corev1.Pod) error {
	if api.DeletionTimestamp != nil && !v.gone(api) {
		if err := v.remove(ctx, api.Namespace, api.Name, api.UID); err != nil {
			return err
		}
	}
	return errdefs.NotFoundf("pod %s/%s is not on this node", api.Namespace, api.Name)
}

// gone tells whether the API server has this very pod no more.
func (v *provider) gone(api *corev1.Pod) bool {
	now, err := v.lister.Pods(api.Namespace).Get(api.Name)
	return apierrors.IsNotFound(err) || err == nil && now.UID != api.UID
}

// discard ends at once a pod that the API server has no more, and forgets it.
func (v *provider) discard(p *pod) {
	v.mu.Lock()
	if v.pods[p.name] == p {
		delete(v.pods, p.name)
	}
	v.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.end(0)
}

// GetPod returns the pod as last taken over. A pod of the same name that has replaced
// the one we run is not it: ours is ended.
func (v *provider) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	p := v.find(namespace, name)
	if p != nil {
		p.mu.Lock()
		api := p.api
		p.mu.Unlock()
		if now, err := v.lister.Pods(namespace).Get(name); err != nil || now.UID == api.UID {
			return api, nil
		}
		v.discard(p)
	}
	return nil, errdefs.NotFoundf("pod %s/%s is not on this node", namespace, name)
}

// GetPodStatus returns the pod's status as last told.
func (v *provider) GetPodStatus(_ context.Context, namespace, name string) (*corev1.PodStatus, error) {
	p := v.find(namespace, name)
	if p == nil {
		return nil, errdefs.NotFoundf("pod %s/%s is not on this node", namespace, name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status(), nil
}

// GetPods returns every pod that runs here.
func (v *provider) GetPods(context.Context) ([]*corev1.Pod, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	list := make([]*corev1.Pod, 0, len(v.pods))
	for _, p := range v.pods {
		p.mu.Lock()
		list = append(list, p.api)
		p.mu.Unlock()
	}
	return list, nil
}

// NotifyPods is given where to tell of changes.
func (v *provider) NotifyPods(_ context.Context, notify func(*corev1.Pod)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.notify = notify
}

// publish tells of changed pods, each one's latest state once, until the queue ends.
func (v *provider) publish(ctx context.Context) {
	for {
		p, end := v.queue.Get()
		if end {
			return
		}
		v.tell(ctx, p)
		v.queue.Done(p)
	}
}

// tell hands a status that is new to the library, which writes it, and finishes a pod
// that has stopped. The library keeps what it is given, so it gets no more than the
// name and the status.
func (v *provider) tell(ctx context.Context, p *pod) {
	p.mu.Lock()
	status := p.status()
	fresh := !sameStatus(p.published, status)
	p.published = status
	stopped := p.ending != nil && p.ending.stopped
	gone, deleting, api := p.gone, p.api.DeletionTimestamp != nil, p.api
	p.mu.Unlock()

	switch {
	case gone && stopped:
		v.host.network.Release(p.ip)
	case gone:
	case fresh:
		v.mu.RLock()
		notify := v.notify
		v.mu.RUnlock()
		notify(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace, Name: api.Name, UID: api.UID},
			Status:     *status,
		})
	case stopped && deleting:
		v.finish(ctx, api)
	}
}

// finish removes a deleted pod that has stopped from the API server, and tries again
// when that goes wrong.
func (v *provider) finish(ctx context.Context, api *corev1.Pod) {
	err := v.remove(ctx, api.Namespace, api.Name, api.UID)
	if err == nil || ctx.Err() != nil {
		return
	}
	v.host.log.Warn("remove pod", "pod", nameOf(api), "err", err)
	time.AfterFunc(time.Second, func() {
		if p := v.find(api.Namespace, api.Name); p != nil && p.uid == api.UID {
			v.queue.Add(p)
		}
	})
}

func (v *provider) remove(ctx context.Context, namespace, name string, uid types.UID) error {
	o := metav1.NewDeleteOptions(0)
	o.Preconditions = metav1.NewUIDPreconditions(string(uid))
	err := v.client.CoreV1().Pods(namespace).Delete(ctx, name, *o)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("delete pod %s/%s: %w", namespace, name, err)
}

// mayRemove tells whether a pod that the library wants removed has stopped; if not, it
// is ended, and removed when it has.
func (v *provider) mayRemove(namespace, name string, uid types.UID) bool {
	p := v.find(namespace, name)
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uid != uid {
		return true
	}
	if now, err := v.lister.Pods(namespace).Get(name); err == nil && now.UID == uid {
		p.api = now
	}
	if p.ending == nil {
		grace := p.grace()
		if g := p.api.DeletionGracePeriodSeconds; g != nil {
			grace = seconds(*g)
		}
		p.end(grace)
	}
	return p.ending.stopped
}

// observed passes on what the API server shows of a pod, for its readiness gates.
func (v *provider) observed(api *corev1.Pod) {
	if len(api.Spec.ReadinessGates) == 0 {
		return
	}
	if p := v.find(api.Namespace, api.Name); p != nil {
		p.observe(api)
	}
}

// stopAll ends every pod's processes: the node itself ends.
func (v *provider) stopAll() {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, p := range v.pods {
		p.abandon()
	}
}
