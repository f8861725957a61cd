package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

const (
	statusWriters = 8
	statusRetry   = time.Second
)

// statusWriter makes the statuses on the API server say what the table in force
// means. It writes only what differs, each with the resourceVersion that it has
// seen: a conflict means that a newer version is on its way and will be judged
// by the next table.
type statusWriter struct {
	gateway    *gatewayAPI
	controller gatewayv1.GatewayController
	metrics    *metrics
	log        *slog.Logger
	latest     atomic.Pointer[route.Result]
	wake       chan struct{}
}

func newStatusWriter(g *gatewayAPI, controller string, m *metrics, log *slog.Logger) *statusWriter {
	return &statusWriter{
		gateway: g, controller: gatewayv1.GatewayController(controller), metrics: m, log: log,
		wake: make(chan struct{}, 1),
	}
}

func (s *statusWriter) update(r route.Result) {
	s.latest.Store(&r)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *statusWriter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if s.writeAll(ctx) {
			continue
		}
		// Something other than a conflict: the API server may be away.
		time.AfterFunc(statusRetry, func() {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		})
	}
}

// patch is one status write.
type patch struct {
	kind            string
	namespace, name string
	resourceVersion string
	status          any
}

// writeAll carries out all differences and says whether none met an error.
func (s *statusWriter) writeAll(ctx context.Context) bool {
	caches := s.gateway.caches.Load()
	if caches == nil {
		return true
	}
	var failed atomic.Bool
	var wg sync.WaitGroup
	slots := make(chan struct{}, statusWriters)
	for _, p := range s.differences(caches, s.latest.Load(), metav1.Now()) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.write(ctx, p); err != nil {
				failed.Store(true)
				s.log.Warn("write status", "kind", p.kind, "namespace", p.namespace, "name", p.name, "error", err)
			}
		})
	}
	wg.Wait()
	return !failed.Load()
}

// differences lists the statuses that are not as they should be.
func (s *statusWriter) differences(caches *gatewayStores, want *route.Result, now metav1.Time) []patch {
	var ps []patch
	for name, conditions := range want.Classes {
		c := get[*gatewayv1.GatewayClass](caches.classes, name)
		if c == nil {
			continue
		}
		if merged := mergeConditions(c.Status.Conditions, conditions, now); !equality.Semantic.DeepEqual(merged,
			c.Status.Conditions) {
			ps = append(ps, patch{"GatewayClass", "", name, c.ResourceVersion, map[string]any{"conditions": merged}})
		}
	}
	for name, status := range want.Gateways {
		g := get[*gatewayv1.Gateway](caches.gateways, name.String())
		if g == nil {
			continue
		}
		if merged := mergeGateway(g.Status, status, now); !equality.Semantic.DeepEqual(merged, g.Status) {
			ps = append(ps, patch{"Gateway", name.Namespace, name.Name, g.ResourceVersion, merged})
		}
	}
	for _, r := range list[*gatewayv1.HTTPRoute](caches.routes) {
		mine := want.Routes[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}]
		if merged := s.mergeParents(r.Status.Parents, mine, now); !equality.Semantic.DeepEqual(merged, r.Status.Parents) {
			ps = append(ps, patch{"HTTPRoute", r.Namespace, r.Name, r.ResourceVersion, map[string]any{"parents": merged}})
		}
	}
	return ps
}

// mergeParents keeps what other controllers wrote and replaces our part.
func (s *statusWriter) mergeParents(have, mine []gatewayv1.RouteParentStatus,
	now metav1.Time,
) []gatewayv1.RouteParentStatus {
	merged := []gatewayv1.RouteParentStatus{}
	old := map[int]bool{}
	for i := range have {
		if have[i].ControllerName != s.controller {
			merged = append(merged, have[i])
			old[i] = true
		}
	}
	for _, p := range mine {
		var before []metav1.Condition
		for i := range have {
			if !old[i] && reflect.DeepEqual(have[i].ParentRef, p.ParentRef) {
				before = have[i].Conditions
			}
		}
		p.Conditions = mergeConditions(before, p.Conditions, now)
		merged = append(merged, p)
	}
	return merged
}

func mergeGateway(have, want gatewayv1.GatewayStatus, now metav1.Time) gatewayv1.GatewayStatus {
	want.AttachedListenerSets = have.AttachedListenerSets
	want.Conditions = mergeConditions(have.Conditions, want.Conditions, now)
	listeners := make([]gatewayv1.ListenerStatus, len(want.Listeners))
	copy(listeners, want.Listeners)
	for i := range listeners {
		var before []metav1.Condition
		for j := range have.Listeners {
			if have.Listeners[j].Name == listeners[i].Name {
				before = have.Listeners[j].Conditions
			}
		}
		listeners[i].Conditions = mergeConditions(before, listeners[i].Conditions, now)
	}
	want.Listeners = listeners
	return want
}

// mergeConditions gives want with the transition times of have where the status
// is the same.
func mergeConditions(have, want []metav1.Condition, now metav1.Time) []metav1.Condition {
	merged := make([]metav1.Condition, len(want))
	for i, c := range want {
		c.LastTransitionTime = now.Rfc3339Copy()
		for _, h := range have {
			if h.Type == c.Type && h.Status == c.Status {
				c.LastTransitionTime = h.LastTransitionTime
			}
		}
		merged[i] = c
	}
	return merged
}

func (s *statusWriter) write(ctx context.Context, p patch) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": p.resourceVersion},
		"status":   p.status,
	})
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	err = s.send(ctx, p, body)
	switch {
	case err == nil:
		s.metrics.statusWrite(p.kind, "ok")
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		s.metrics.statusWrite(p.kind, "conflict")
		return nil
	default:
		s.metrics.statusWrite(p.kind, "error")
	}
	return err
}

func (s *statusWriter) send(ctx context.Context, p patch, body []byte) error {
	options := metav1.PatchOptions{FieldManager: userAgent}
	v1 := s.gateway.client.GatewayV1()
	var err error
	switch p.kind {
	case "GatewayClass":
		_, err = v1.GatewayClasses().Patch(ctx, p.name, types.MergePatchType, body, options, "status")
	case "Gateway":
		_, err = v1.Gateways(p.namespace).Patch(ctx, p.name, types.MergePatchType, body, options, "status")
	default:
		_, err = v1.HTTPRoutes(p.namespace).Patch(ctx, p.name, types.MergePatchType, body, options, "status")
	}
	return err
}
