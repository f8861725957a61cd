package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

func condition(status metav1.ConditionStatus, reason string, generation int64, at metav1.Time) metav1.Condition {
	return metav1.Condition{Type: "Accepted", Status: status, Reason: reason, ObservedGeneration: generation, LastTransitionTime: at}
}

func TestMergeConditions(t *testing.T) {
	then := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	now := metav1.NewTime(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	have := []metav1.Condition{condition("True", "Accepted", 1, then)}
	for _, tc := range []struct {
		name       string
		want, gets metav1.Condition
	}{
		{"same status keeps its time", condition("True", "Accepted", 2, metav1.Time{}), condition("True", "Accepted", 2, then)},
		{"another status is of now", condition("False", "NoMatchingParent", 1, metav1.Time{}), condition("False", "NoMatchingParent", 1, now)},
	} {
		got := mergeConditions(have, []metav1.Condition{tc.want}, now)
		if diff := cmp.Diff([]metav1.Condition{tc.gets}, got); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

// TestStatusDifferences: what is as it should be is not written, what others
// wrote stays, and what no longer holds is taken away.
func TestStatusDifferences(t *testing.T) {
	now := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	accepted := []metav1.Condition{condition("True", "Accepted", 1, now)}
	mine := gatewayv1.RouteParentStatus{ParentRef: gatewayv1.ParentReference{Name: "gw"}, ControllerName: "me", Conditions: accepted}
	other := gatewayv1.RouteParentStatus{ParentRef: gatewayv1.ParentReference{Name: "gw"}, ControllerName: "other", Conditions: accepted}
	s := &statusWriter{controller: "me"}
	for _, tc := range []struct {
		name       string
		have, want []gatewayv1.RouteParentStatus
		write      []gatewayv1.RouteParentStatus // nil: none
	}{
		{"nothing yet", nil, []gatewayv1.RouteParentStatus{mine}, []gatewayv1.RouteParentStatus{mine}},
		{"as it should be", []gatewayv1.RouteParentStatus{mine}, []gatewayv1.RouteParentStatus{mine}, nil},
		{"beside another controller", []gatewayv1.RouteParentStatus{other}, []gatewayv1.RouteParentStatus{mine}, []gatewayv1.RouteParentStatus{other, mine}},
		{"no longer attached", []gatewayv1.RouteParentStatus{mine, other}, nil, []gatewayv1.RouteParentStatus{other}},
		{"never attached", nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stores := &gatewayStores{routes: store(&gatewayv1.HTTPRoute{
				ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "r", ResourceVersion: "7"},
				Status:     gatewayv1.HTTPRouteStatus{RouteStatus: gatewayv1.RouteStatus{Parents: tc.have}},
			})}
			result := &route.Result{Routes: map[types.NamespacedName][]gatewayv1.RouteParentStatus{}}
			if tc.want != nil {
				result.Routes[types.NamespacedName{Namespace: "demo", Name: "r"}] = tc.want
			}
			got := s.differences(stores, result, now)
			if tc.write == nil {
				if len(got) != 0 {
					t.Errorf("writes %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].resourceVersion != "7" {
				t.Fatalf("writes %+v", got)
			}
			if diff := cmp.Diff(map[string]any{"parents": tc.write}, got[0].status); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func store(objects ...any) cache.Indexer {
	s := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, o := range objects {
		_ = s.Add(o)
	}
	return s
}

// TestReporter: a problem is told once when it has lasted, and again only after
// it was gone.
func TestReporter(t *testing.T) {
	r := newReporter(nil, nil)
	p := route.Problem{Object: corev1.ObjectReference{Kind: "Ingress", Name: "x"}, Reason: "Bad", Message: "no"}
	steps := []struct {
		present bool
		after   time.Duration
		told    int
	}{
		{true, 0, 0},
		{true, problemPatience, 1},
		{true, 2 * problemPatience, 0},
		{false, 0, 0},
		{true, 0, 0},
		{true, problemPatience, 1},
	}
	for i, step := range steps {
		var ps []route.Problem
		if step.present {
			ps = []route.Problem{p}
		}
		r.update(ps)
		due, _ := r.due(time.Now().Add(step.after))
		if len(due) != step.told {
			t.Errorf("step %d: told %d, want %d", i, len(due), step.told)
		}
	}
}
