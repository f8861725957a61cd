package check

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/window"
)

const (
	// maxMessage bounds the condition's message, in bytes.
	maxMessage = 1024
)

// checked is one kind of object.
type checked struct {
	name  string
	empty func() client.Object
	// look gives what is wrong with the object, and the status to write that into.
	look func(client.Object) (problems []string, status *v1alpha1.CheckStatus)
}

var kinds = []checked{
	{
		"releasewindow", func() client.Object { return &v1alpha1.ReleaseWindow{} },
		func(o client.Object) ([]string, *v1alpha1.CheckStatus) {
			w := o.(*v1alpha1.ReleaseWindow)
			var problems []string
			for _, err := range window.Check(w.Spec) {
				problems = append(problems, err.Error())
			}
			if len(problems) > 0 {
				problems = append(problems, "until that is mended, the releases of the Rollouts that this window selects wait")
			}
			return problems, &w.Status
		},
	},
	{
		"analysistemplate", func() client.Object { return &v1alpha1.AnalysisTemplate{} },
		func(o client.Object) ([]string, *v1alpha1.CheckStatus) {
			t := o.(*v1alpha1.AnalysisTemplate)
			return template(t.Spec), &t.Status
		},
	},
	{
		"clusteranalysistemplate", func() client.Object { return &v1alpha1.ClusterAnalysisTemplate{} },
		func(o client.Object) ([]string, *v1alpha1.CheckStatus) {
			t := o.(*v1alpha1.ClusterAnalysisTemplate)
			return template(t.Spec), &t.Status
		},
	},
}

// template is what is wrong with a template of either kind: both have the same spec.
func template(spec v1alpha1.AnalysisTemplateSpec) []string {
	var out []string
	for _, p := range measure.CheckTemplate(spec) {
		out = append(out, p.Error())
	}
	return out
}

// Setup adds a controller for each kind. Each has a client of its own: a client remembers its writes by namespace and
// name, and objects of two kinds may have the same ones.
func Setup(mgr manager.Manager, newClient func() *kube.Client) error {
	for _, k := range kinds {
		r := &Reconciler{kind: k, Kube: newClient(), Events: mgr.GetEventRecorder("sluice")}
		c, err := controller.New("check-"+k.name, mgr, controller.Options{Reconciler: r})
		if err != nil {
			return fmt.Errorf("make controller: %w", err)
		}
		if err := c.Watch(source.Kind(mgr.GetCache(), k.empty(), &handler.EnqueueRequestForObject{})); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

// Reconciler looks at the objects of one kind.
type Reconciler struct {
	Kube   *kube.Client
	Events events.EventRecorder
	kind   checked
}

// Reconcile looks at one object, and writes its status where that says something else.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return loop.Run(ctx, r.Kube, req.NamespacedName, func(ctx context.Context, write *kube.Writer) (ctrl.Result, error) {
		return r.look(ctx, write, req.NamespacedName)
	})
}

// look checks one object. An Event is sent only together with a status that has changed: what was wrong before is not
// said again with each restart.
func (r *Reconciler) look(ctx context.Context, write *kube.Writer, key types.NamespacedName) (ctrl.Result, error) {
	before := r.kind.empty()
	if err := r.Kube.Get(ctx, key, before); err != nil {
		r.Kube.Forget(key)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	after := before.DeepCopyObject().(client.Object)
	problems, status := r.kind.look(after)
	if !note(status, problems, after.GetGeneration()) {
		return ctrl.Result{}, nil
	}
	if err := write.PatchStatus(ctx, before, after); err != nil {
		return ctrl.Result{}, err
	}
	if len(problems) > 0 {
		r.Events.Eventf(after, nil, corev1.EventTypeWarning, v1alpha1.ReasonInvalid, "Check", "%s", sentence(problems))
	}
	return ctrl.Result{}, nil
}

// note writes what was found into a status, and says whether that is news.
func note(s *v1alpha1.CheckStatus, problems []string, generation int64) bool {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionValid, Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: v1alpha1.ReasonValid, Message: "the spec can be read",
	}
	if len(problems) > 0 {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, v1alpha1.ReasonInvalid,
			sentence(problems)
	}
	changed := meta.SetStatusCondition(&s.Conditions, condition)
	if s.ObservedGeneration != generation {
		s.ObservedGeneration, changed = generation, true
	}
	return changed
}

// sentence joins the problems. A cut in the middle of a character would leave bytes that the API server does not take,
// so those go as well.
func sentence(problems []string) string {
	text := strings.Join(problems, "; ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage-3], "") + "..."
	}
	return text
}
