package rollout

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// TestQueueClasses: what is furthest along comes first, whatever came first.
func TestQueueClasses(t *testing.T) {
	r := &Reconciler{}
	q := priorityqueue.New[reconcile.Request]("test")
	defer q.ShutDown()
	came := func(h handler.EventHandler, name string, o *v1alpha1.Rollout) {
		o.Namespace, o.Name = "demo", name
		h.Update(t.Context(), event.UpdateEvent{ObjectOld: o, ObjectNew: o}, q)
	}
	for name, is := range map[string]class{
		"rests": resting, "begins": beginning, "ends": completing, "moves": moving,
		"aborts": classOf(v1alpha1.CauseTemplateChanged, release.Aborting),
		"back":   classOf(v1alpha1.CauseRollback, release.Progressing),
	} {
		r.queue.note(types.NamespacedName{Namespace: "demo", Name: name}, is)
	}
	for _, name := range []string{"rests", "begins", "ends", "moves", "back", "aborts"} {
		came(r.by(itself), name, &v1alpha1.Rollout{})
	}
	says := func(name string, verb v1alpha1.DecisionVerb) {
		d := &v1alpha1.Decision{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "word-" + name},
			Spec:       v1alpha1.DecisionSpec{Release: name + "-1", Verb: verb},
		}
		r.atLeast(ofDecision, classOfDecision).Create(t.Context(), event.CreateEvent{Object: d}, q)
	}
	says("told", v1alpha1.VerbPromote)
	says("rests", v1alpha1.VerbAbort)
	want := [][]string{{"back", "aborts", "rests"}, {"told"}, {"moves"}, {"ends"}, {"begins"}}
	for _, class := range want {
		left := map[string]bool{}
		for _, name := range class {
			left[name] = true
		}
		for range class {
			got, priority, _ := q.GetWithPriority()
			q.Done(got)
			if !left[got.Name] {
				t.Errorf("%s (%d) came, want one of %v", got.Name, priority, class)
			}
			delete(left, got.Name)
		}
	}
	if n := q.Len(); n != 0 {
		t.Errorf("%d are left in the queue", n)
	}
	r.queue.note(types.NamespacedName{Namespace: "demo", Name: "moves"}, resting)
	if got := r.queue.of(types.NamespacedName{Namespace: "demo", Name: "moves"}); got != resting {
		t.Errorf("at rest it is of class %d", got)
	}
}
