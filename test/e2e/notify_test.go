package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// told is what a webhook gets.
type told struct {
	Event, Namespace, Rollout, Release, Step, Title, Text, Who string
	Until                                                      *time.Time
}

// webhook takes messages down.
type webhook struct {
	mu   sync.Mutex
	told []told
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m told
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, m)
}

func (h *webhook) all() []told {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// events are those that were told, in order.
func (h *webhook) events() []string {
	var out []string
	for _, m := range h.all() {
		out = append(out, m.Event)
	}
	return out
}

// TestNotifier: whoever is to be told is told once of each thing that a release does; before the controller may read the
// Secret with the address, the Notifier says what is missing.
func TestNotifier(t *testing.T) {
	if foreign() {
		t.Skip("needs a webhook that the controller reaches: runs only on a playground that the suite starts")
	}
	w := newWorld(t)
	hook := &webhook{}
	server := httptest.NewServer(hook)
	t.Cleanup(server.Close)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	steps(only(objects, "Rollout"), step(20), step(50))
	w.start(objects...)
	w.apply(w.objects(fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: chat}
stringData: {url: "%s/hook/very-secret-path"}
---
apiVersion: sluice.dev/v1alpha1
kind: Notifier
metadata: {name: chat}
spec:
  sink:
    webhook: {url: {name: chat, key: url}}
`, server.URL))...)
	w.notifier("says that the Secret cannot be read", func(s v1alpha1.NotifierStatus) error {
		if !strings.Contains(s.LastError, "kubectl create rolebinding sluice-secret-reader -n "+w.ns) {
			return fmt.Errorf("lastError is %q", s.LastError)
		}
		return nil
	})
	w.kubectl("create", "rolebinding", "sluice-secret-reader", "--clusterrole=sluice-secret-reader", "--serviceaccount=sluice-system:sluice")

	w.setImage("green")
	w.waitsFor("shop-1", release.ReasonPausedForPerson)
	w.notifier("has told that the release waits", delivered(2))
	w.mustSluice("abort", "shop", "-m", "too green")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	s := w.notifier("has told that the release was aborted", delivered(3))
	w.phase(v1alpha1.RolloutRejected)
	if s.Failed != 0 || s.LastError != "" || s.LastDelivered == nil || s.Cursor == "" {
		t.Errorf("the status is %+v", s)
	}
	if d := cmp.Diff([]string{"started", "waiting", "aborted"}, hook.events()); d != "" {
		t.Fatal(d)
	}
	for _, m := range hook.all() {
		if m.Namespace != w.ns || m.Rollout != "shop" || m.Release != "shop-1" || m.Title == "" || m.Text == "" {
			t.Errorf("the message says %+v", m)
		}
	}
	if m := hook.all()[1]; m.Who != "anyone who may promote" || m.Until == nil || !strings.Contains(m.Step, "1/2") {
		t.Errorf("the wait says %+v", m)
	}
	if m := hook.all()[2]; !strings.Contains(m.Text, "too green") {
		t.Errorf("the abort says %+v", m)
	}
}

// notifier waits until the Notifier's status is as it should be.
func (w *world) notifier(what string, is func(v1alpha1.NotifierStatus) error) v1alpha1.NotifierStatus {
	w.Helper()
	n := &v1alpha1.Notifier{}
	until(w, long, "the Notifier "+what, func() error {
		if err := w.get(n, "chat"); err != nil {
			return err
		}
		return is(n.Status)
	})
	return n.Status
}

// delivered wants so many messages to have arrived, and no word of trouble.
func delivered(want int64) func(v1alpha1.NotifierStatus) error {
	return func(s v1alpha1.NotifierStatus) error {
		if s.Delivered < want {
			return fmt.Errorf("%d were delivered, %d failed: %s", s.Delivered, s.Failed, s.LastError)
		}
		if s.LastError != "" {
			return errors.New(s.LastError)
		}
		return nil
	}
}
