package node

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// podClient stands between the library and the API server. The library would put the
// whole pod, as it has it, over what is stored, and so undo labels and conditions that
// others have set meanwhile; and it removes a deleted pod from the API server when its
// grace period is over, not when it has stopped. Both are done here as a kubelet does.
type podClient struct {
	corev1client.PodsGetter
	provider *provider
}

func (c *podClient) Pods(namespace string) corev1client.PodInterface {
	return &podsOf{PodInterface: c.PodsGetter.Pods(namespace), provider: c.provider, namespace: namespace}
}

type podsOf struct {
	corev1client.PodInterface
	provider  *provider
	namespace string
}

// UpdateStatus patches the fields of the status that are a kubelet's, and removes the
// pod when it was to be deleted and has stopped.
func (c *podsOf) UpdateStatus(ctx context.Context, pod *corev1.Pod, _ metav1.UpdateOptions) (*corev1.Pod, error) {
	patch, err := statusPatch(pod.UID, &pod.Status)
	if err != nil {
		return nil, err
	}
	stored, err := c.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsConflict(err) { // the name belongs to another pod by now
		return pod, nil
	}
	if err != nil {
		return nil, err
	}
	if p := c.provider.find(c.namespace, pod.Name); p != nil && stored.DeletionTimestamp != nil {
		if stopped, deleting := p.state(); stopped && deleting {
			c.provider.finish(ctx, stored)
		}
	}
	return stored, nil
}

// Delete removes the pod once it has stopped; until then the call only makes sure that
// it is being stopped.
func (c *podsOf) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	if o.Preconditions != nil && o.Preconditions.UID != nil &&
		!c.provider.mayRemove(c.namespace, name, *o.Preconditions.UID) {
		return nil
	}
	return c.PodInterface.Delete(ctx, name, o)
}

// patchedStatus is a status without the fields that belong to others. Conditions are
// merged by type, so those of others stay; the rest is replaced.
type patchedStatus struct {
	*corev1.PodStatus
	Reason  *string          `json:"reason"`
	Message *string          `json:"message"`
	PodIPs  []map[string]any `json:"podIPs"`
	HostIPs []map[string]any `json:"hostIPs"`
}

func statusPatch(uid types.UID, s *corev1.PodStatus) ([]byte, error) {
	p := patchedStatus{PodStatus: s}
	if s.Reason != "" {
		p.Reason, p.Message = &s.Reason, &s.Message
	}
	if s.PodIP != "" {
		p.PodIPs = []map[string]any{{"ip": s.PodIP}, {"$patch": "replace"}}
		p.HostIPs = []map[string]any{{"ip": s.HostIP}, {"$patch": "replace"}}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "status": p})
	if err != nil {
		return nil, fmt.Errorf("marshal status: %w", err)
	}
	return patch, nil
}

func sameStatus(a, b *corev1.PodStatus) bool {
	return a != nil && equality.Semantic.DeepEqual(a, b)
}
