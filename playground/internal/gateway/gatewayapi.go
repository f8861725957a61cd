package gateway

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
	"sigs.k8s.io/gateway-api/pkg/client/informers/externalversions"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

// crdRecheck is how often a cluster without the Gateway API's CRDs is asked
// again; it is served without HTTPRoutes meanwhile.
const crdRecheck = time.Second

// gatewayAPI holds what is known of the Gateway API's kinds, once the cluster
// has them.
type gatewayAPI struct {
	client  versioned.Interface
	factory externalversions.SharedInformerFactory
	caches  atomic.Pointer[gatewayStores]
}

type gatewayStores struct {
	classes, gateways, routes, grants cache.Indexer
}

func newGatewayAPI(client versioned.Interface) *gatewayAPI {
	return &gatewayAPI{
		client:  client,
		factory: externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithTransform(slim)),
	}
}

// start follows the kinds at once when the cluster has them, else as soon as it
// gets them.
func (g *gatewayAPI) start(ctx context.Context, w *watcher) error {
	served, err := g.served()
	if err != nil {
		return fmt.Errorf("ask the API server for the Gateway API: %w", err)
	}
	if served {
		return g.follow(ctx, w)
	}
	w.log.Info("the cluster has no Gateway API yet; serving Ingress only")
	go g.wait(ctx, w)
	return nil
}

func (g *gatewayAPI) wait(ctx context.Context, w *watcher) {
	tick := time.NewTicker(crdRecheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if served, err := g.served(); err != nil || !served {
			continue
		}
		if err := g.follow(ctx, w); err != nil {
			w.log.Error("follow the Gateway API", "error", err)
		}
		return
	}
}

// served says whether all kinds that are read exist.
func (g *gatewayAPI) served() (bool, error) {
	groups, err := g.client.Discovery().ServerGroups()
	if err != nil {
		return false, err
	}
	for _, group := range groups.Groups {
		if group.Name == gatewayv1.GroupName {
			return g.hasKinds(), nil
		}
	}
	return false, nil
}

func (g *gatewayAPI) hasKinds() bool {
	found, err := g.client.Discovery().ServerResourcesForGroupVersion(gatewayv1.GroupVersion.String())
	if err != nil {
		return false
	}
	kinds := map[string]bool{}
	for _, r := range found.APIResources {
		kinds[r.Kind] = true
	}
	return kinds["GatewayClass"] && kinds["Gateway"] && kinds["HTTPRoute"] && kinds["ReferenceGrant"]
}

func (g *gatewayAPI) follow(ctx context.Context, w *watcher) error {
	v1 := g.factory.Gateway().V1()
	informers := []cache.SharedIndexInformer{
		v1.GatewayClasses().Informer(), v1.Gateways().Informer(), v1.HTTPRoutes().Informer(), v1.ReferenceGrants().Informer(),
	}
	for _, i := range informers {
		if err := w.handle(i, func(any) bool { return true }); err != nil {
			return err
		}
	}
	g.factory.Start(ctx.Done())
	for kind, ok := range g.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("list %v: the gateway was stopped before the API server answered", kind)
		}
	}
	g.caches.Store(&gatewayStores{
		informers[0].GetIndexer(), informers[1].GetIndexer(), informers[2].GetIndexer(), informers[3].GetIndexer(),
	})
	w.mark()
	return nil
}

// fill adds the kinds to a world.
func (g *gatewayAPI) fill(world *route.World) {
	c := g.caches.Load()
	if c == nil {
		return
	}
	world.GatewayClasses = list[*gatewayv1.GatewayClass](c.classes)
	world.Gateways = list[*gatewayv1.Gateway](c.gateways)
	world.HTTPRoutes = list[*gatewayv1.HTTPRoute](c.routes)
	world.Grants = list[*gatewayv1.ReferenceGrant](c.grants)
}
