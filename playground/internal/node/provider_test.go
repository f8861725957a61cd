package node

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// desk is a provider with a fake API server and the library's cache, by hand.
type desk struct {
	*provider
	*world
	store cache.Indexer
	told  []*corev1.Pod
}

func onDesk(t *testing.T, play func(d *desk)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.log = slog.New(slog.DiscardHandler)
		store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
		d := &desk{world: w, store: store}
		d.provider = newProvider(w.host, fake.NewClientset(), corev1listers.NewPodLister(store))
		d.NotifyPods(t.Context(), func(p *corev1.Pod) { d.told = append(d.told, p) })
		go d.publish(t.Context())
		defer synctest.Wait()
		defer d.stopAll()
		defer d.queue.ShutDown()
		play(d)
	})
}

// put stores a pod in the API server and in the library's cache.
func (d *desk) put(t *testing.T, p *corev1.Pod) {
	t.Helper()
	if err := d.client.(*fake.Clientset).Tracker().Add(p); err != nil {
		t.Fatal(err)
	}
	if err := d.store.Add(p); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) stored(t *testing.T, p *corev1.Pod) bool {
	t.Helper()
	_, err := d.client.CoreV1().Pods(p.Namespace).Get(t.Context(), p.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func deleted(p *corev1.Pod, grace int64) *corev1.Pod {
	p = p.DeepCopy()
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = new(metav1.Now()), &grace
	return p
}

func TestStatusIsToldOncePerChange(t *testing.T) {
	onDesk(t, func(d *desk) {
		p := plainPod(nil)
		d.put(t, p)
		if err := d.CreatePod(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		for range 5 {
			d.world.changed(d.find(p.Namespace, p.Name))
			after(time.Second)
		}
		if len(d.told) != 1 || d.told[0].Status.Phase != corev1.PodRunning || len(d.told[0].Spec.Containers) != 0 {
			t.Errorf("told %d times: %+v", len(d.told), d.told)
		}
	})
}

func TestLibraryMayRemoveOnlyWhatHasStopped(t *testing.T) {
	onDesk(t, func(d *desk) {
		p := plainPod(nil)
		d.put(t, p)
		_ = d.CreatePod(t.Context(), p)
		after(0)
		now := deleted(p, 30)
		_ = d.store.Update(now)
		pods := (&podClient{d.client.CoreV1(), d.provider}).Pods(p.Namespace)
		remove := func() {
			t.Helper()
			o := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))}
			if err := pods.Delete(t.Context(), p.Name, o); err != nil {
				t.Fatal(err)
			}
		}
		remove()
		if !d.stored(t, p) {
			t.Fatal("a pod that runs was removed")
		}
		after(5 * time.Second) // it has been ended, gracefully
		remove()
		if d.stored(t, p) {
			t.Error("a pod that has stopped was not removed")
		}
	})
}

func TestDeletedPodOfWhichNothingRunsGoesAtOnce(t *testing.T) {
	onDesk(t, func(d *desk) {
		p := deleted(plainPod(nil), 30)
		d.put(t, p)
		if err := d.DeletePod(t.Context(), p); !errdefs.IsNotFound(err) {
			t.Errorf("error %v, want not found", err)
		}
		if d.stored(t, p) {
			t.Error("it is still there")
		}
	})
}

func TestBackedOffPodGoesAtOnce(t *testing.T) {
	onDesk(t, func(d *desk) {
		p := plainPod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "nosuch" })
		d.put(t, p)
		_ = d.CreatePod(t.Context(), p)
		after(2 * time.Second)
		now := deleted(p, 30)
		_ = d.store.Update(now)
		if err := d.DeletePod(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		after(0)
		if last := d.told[len(d.told)-1].Status; last.Phase != corev1.PodFailed {
			t.Errorf("last status: %+v", last)
		}
		if stopped, _ := d.find(p.Namespace, p.Name).state(); !stopped {
			t.Error("it has not stopped")
		}
	})
}

func TestPodReplacedUnderItsName(t *testing.T) {
	onDesk(t, func(d *desk) {
		old := plainPod(nil)
		d.put(t, old)
		_ = d.CreatePod(t.Context(), old)
		after(0)
		was := d.find(old.Namespace, old.Name)

		young := plainPod(func(p *corev1.Pod) { p.UID = types.UID("u2") })
		_ = d.store.Update(young)
		if got, err := d.GetPod(t.Context(), old.Namespace, old.Name); !errdefs.IsNotFound(err) || got != nil {
			t.Errorf("GetPod: %v, %v; want not found", got, err)
		}
		if err := d.CreatePod(t.Context(), young); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if stopped, _ := was.state(); !stopped {
			t.Error("the old pod still runs")
		}
		if now := d.find(old.Namespace, old.Name); now == nil || now.uid != "u2" || !isReady(now) {
			t.Error("the new pod does not run")
		}
		if !d.stored(t, old) {
			t.Error("the new pod was removed with the old one")
		}
	})
}

func TestForgottenPodGivesItsAddressBack(t *testing.T) {
	onDesk(t, func(d *desk) {
		p := plainPod(nil)
		d.put(t, p)
		_ = d.CreatePod(t.Context(), p)
		after(0)
		_ = d.store.Delete(p)
		if err := d.DeletePod(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if d.find(p.Namespace, p.Name) != nil {
			t.Error("the pod is still known")
		}
		used := 0
		for { // every address must be free
			if _, err := d.world.network.Allocate(); err != nil {
				break
			}
			used++
		}
		if used != 256*254 {
			t.Errorf("%d addresses were free, want all", used)
		}
	})
}
