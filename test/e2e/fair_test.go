package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// hole is a server that takes requests in and never answers.
type hole struct {
	*httptest.Server
	mu sync.Mutex
	// asked are the requests that came, by path; gaveUp those that nobody waits for any more.
	asked, gaveUp map[string]int
}

func newHole(t *testing.T) *hole {
	t.Helper()
	h := &hole{asked: map[string]int{}, gaveUp: map[string]int{}}
	ended := make(chan struct{})
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // Or the server would not see that the other side has left.
		h.count(h.asked, r.URL.Path)
		select {
		case <-ended:
		case <-r.Context().Done():
			h.count(h.gaveUp, r.URL.Path)
		}
	}))
	t.Cleanup(func() {
		close(ended)
		h.Close()
	})
	return h
}

func (h *hole) count(in map[string]int, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	in[path]++
}

// swallowed says how many requests of a path came, and of how many of them the sender has given up.
func (h *hole) swallowed(path string) (asked, gaveUp int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[path], h.gaveUp[path]
}

const (
	// More releases hang than the controller has workers for analyses, and more Notifiers than it has for those.
	hanging          = 6
	hangingNotifiers = 3
	others           = 20
)

// fairTemplates: all that the one measures never answers within a minute, all that the other does answers at once.
const fairTemplates = `
apiVersion: v1
kind: Secret
metadata: {name: sinks}
stringData: {hangs: "%[1]s/sink", answers: "%[3]s"}
---
apiVersion: sluice.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: hangs}
spec:
  metrics:
  - {name: source, consecutiveErrorLimit: 100, successCondition: value < 1.0, provider: {http: {url: "%[1]s/source", connection: {timeout: 60s}}}}
  - {name: plugin, consecutiveErrorLimit: 100, successCondition: value < 1.0, provider: {plugin: {url: "%[1]s/plugin", connection: {timeout: 60s}}}}
  - {name: job, provider: {job: {containers: [{name: check, image: "sluice.dev/pause:1"}]}}}
---
apiVersion: sluice.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: answers}
spec:
  metrics:
  - {name: source, successCondition: value < 1.0, provider: {http: {url: "%[2]s/source", jsonPath: "{.result}"}}}
  - {name: plugin, successCondition: value < 1.0, provider: {plugin: {url: "%[2]s/plugin"}}}
  - {name: pods, successCondition: result.restarts == 0.0, provider: {kubernetes: {}}}
---
apiVersion: sluice.dev/v1alpha1
kind: Notifier
metadata: {name: chat}
spec:
  events: [done]
  sink: {webhook: {url: {name: sinks, key: answers}}}
---
`

// TestFairness: while everything that some releases depend on hangs, twenty others go through, and are told of. More
// requests hang at once than the controller has workers, before and after, so that no worker waits for any of them.
func TestFairness(t *testing.T) {
	skipForeign(t)
	w := newWorld(t)
	hook, void := &webhook{}, newHole(t)
	quick, chat := httptest.NewServer(says(http.StatusOK, `{"result": 0}`)), httptest.NewServer(hook)
	t.Cleanup(quick.Close)
	t.Cleanup(chat.Close)
	w.lendRights()
	manifests := fmt.Sprintf(fairTemplates, void.URL, quick.URL, chat.URL)
	for _, name := range numbered("chat", hangingNotifiers) {
		manifests += fmt.Sprintf("apiVersion: sluice.dev/v1alpha1\nkind: Notifier\nmetadata: {name: %s}\nspec: {sink: {webhook: {url: {name: sinks, key: hangs}}}}\n---\n", name)
	}
	hung, free := numbered("hung", hanging), numbered("free", others)
	for _, name := range hung {
		manifests += small(name, "hangs")
	}
	for _, name := range free {
		manifests += small(name, "answers")
	}
	w.startSmall(manifests)
	w.releaseSmall(hung...)
	until(t, long, "everything hangs", func() error { return w.everythingHangs(void) })

	w.releaseSmall(free...)
	until(t, long, "the others are through, and told of", func() error {
		for _, name := range free {
			r := &v1alpha1.Release{}
			if err := w.get(r, name+"-1"); err != nil {
				return err
			}
			if r.Status.Phase != v1alpha1.ReleaseSucceeded {
				return fmt.Errorf("%s is %s: %s", r.Name, r.Status.Phase, waits(r.Status.WaitingFor))
			}
		}
		if n := len(hook.all()); n != others {
			return fmt.Errorf("%d were told of", n)
		}
		return nil
	})
	until(t, long, "everything hangs still", func() error { return w.everythingHangs(void) }) // One may just be asked again.
}

// everythingHangs wants each hanging release to wait for all of its measurements at once, and each hanging Notifier for
// its sink.
func (w *world) everythingHangs(void *hole) error {
	for _, path := range []string{"/source", "/plugin"} {
		if asked, gaveUp := void.swallowed(path); asked-gaveUp != hanging {
			return fmt.Errorf("%s: asked %d times, given up %d times", path, asked, gaveUp)
		}
	}
	if asked, _ := void.swallowed("/sink"); asked < hangingNotifiers {
		return fmt.Errorf("%d messages are under way", asked)
	}
	jobs, runs, notifiers := &batchv1.JobList{}, &v1alpha1.AnalysisRunList{}, &v1alpha1.NotifierList{}
	w.list(jobs)
	w.list(runs)
	w.list(notifiers)
	active := 0
	for _, j := range jobs.Items {
		active += int(j.Status.Active)
	}
	if active != hanging {
		return fmt.Errorf("%d Jobs are active", active)
	}
	waiting := 0
	for _, r := range runs.Items {
		if r.Spec.Metrics[2].Provider.Job == nil {
			continue
		}
		waiting++
		if r.Status.FinishedAt != nil {
			return fmt.Errorf("%s: %s", r.Name, r.Status.Message)
		}
	}
	if waiting != hanging {
		return fmt.Errorf("%d analyses are under way", waiting)
	}
	for _, n := range notifiers.Items {
		if n.Name != "chat" && n.Status.Delivered > 0 {
			return fmt.Errorf("the Notifier %s has delivered %d", n.Name, n.Status.Delivered)
		}
	}
	return nil
}
