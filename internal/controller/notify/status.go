package notify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	// batch is how long what came of messages waits for what comes of those behind them, to be written at once.
	batch = time.Second
	// maxError is what lastError has room for.
	maxError = 1024
	// notYet begins a lastError that is gone when the trouble is.
	notYet = "not delivered yet: "
)

// record writes down what came of messages.
func (r *Reconciler) record(ctx context.Context, write *kube.Writer, n *v1alpha1.Notifier, c *courier,
	all []fact,
) (ctrl.Result, error) {
	results, trouble := c.state()
	now, queued := r.Now(), c.queue.Stats().Queued
	if len(results) > 0 && queued > 0 {
		// More results are on their way, and one write can have them all.
		if left := batch - now.Sub(results[0].at); left > 0 {
			return ctrl.Result{RequeueAfter: left}, nil
		}
	}
	if err := r.write(ctx, write, n, c, results, trouble, all); err != nil {
		return ctrl.Result{}, err
	}
	if trouble == "" || queued > 0 {
		return ctrl.Result{}, nil
	}
	go c.sink.check(c.ctx)
	return ctrl.Result{RequeueAfter: recheck}, nil
}

func (r *Reconciler) write(ctx context.Context, write *kube.Writer, n *v1alpha1.Notifier, c *courier, results []result,
	trouble string, all []fact,
) error {
	after := n.DeepCopy()
	flaw := firstOf(selectorFlaw(n.Spec.Selector), c.flaw)
	project(&after.Status, results, firstOf(flaw, trouble), all)
	// That all is well is no news worth a write of its own.
	told := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionValid) != nil
	if flaw != "" || told || !equality.Semantic.DeepEqual(n.Status, after.Status) {
		valid(&after.Status, flaw, n.Generation)
	}
	if err := write.PatchStatus(ctx, n, after); err != nil {
		return err
	}
	// Only now: if the write fails, the next look writes the same results.
	c.written(len(results))
	return nil
}

// project writes what came of messages. What stands there already, since the answer to its write was lost, is not
// counted twice.
func project(s *v1alpha1.NotifierStatus, results []result, trouble string, all []fact) {
	before := readCursor(s.Cursor)
	dealt := map[string]bool{}
	for i := range results {
		x := &results[i]
		dealt[x.fact.key] = true
		switch {
		case before.marked(&x.fact):
		case x.err == nil:
			s.Delivered++
			s.LastDelivered = &metav1.Time{Time: x.at}
		default:
			s.Failed++
			s.LastError = sentence(fmt.Sprintf("%s, release %s %s: %s", x.at.UTC().Format(time.RFC3339), x.fact.release,
				x.event, x.err))
		}
	}
	if len(results) > 0 {
		s.Cursor = before.with(func(key string) bool { return dealt[key] }, all).String()
	}
	switch {
	case trouble != "":
		s.LastError = sentence(notYet + trouble)
	case strings.HasPrefix(s.LastError, notYet):
		s.LastError = ""
	}
}

// valid says whether the spec can be read.
func valid(s *v1alpha1.NotifierStatus, flaw string, generation int64) {
	c := metav1.Condition{
		Type: v1alpha1.ConditionValid, Status: metav1.ConditionTrue, ObservedGeneration: generation,
		Reason: v1alpha1.ReasonValid, Message: "the spec can be read",
	}
	if flaw != "" {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonInvalid, sentence(flaw)
	}
	meta.SetStatusCondition(&s.Conditions, c)
}

func sentence(text string) string { return notify.Truncate(notify.Line(text), maxError) }

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// Close ends all deliveries, and writes down what has arrived, so that the next process does not tell it again.
func (r *Reconciler) Close(ctx context.Context) {
	for key, c := range r.couriers.close() {
		if err := r.last(ctx, key, c); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "record the last messages", "notifier", key.String())
		}
	}
}

// last writes down what came of the last messages of a courier that has ended.
func (r *Reconciler) last(ctx context.Context, key client.ObjectKey, c *courier) error {
	c.work.Lock()
	defer c.work.Unlock()
	results, trouble := c.state()
	if len(results) == 0 {
		return nil
	}
	n := &v1alpha1.Notifier{}
	// Past the cache, which may no longer be kept up to date: on an old version the write would be refused.
	if err := r.Kube.Live.Get(ctx, key, n); err != nil || n.UID != c.uid {
		return client.IgnoreNotFound(err)
	}
	all, err := r.facts(ctx, key.Namespace)
	if err != nil {
		return err
	}
	return r.write(ctx, r.Kube.For(key), n, c, results, trouble, all)
}
