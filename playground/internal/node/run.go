package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	vklog "github.com/virtual-kubelet/virtual-kubelet/log"
	vk "github.com/virtual-kubelet/virtual-kubelet/node"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

// Options are what the nodes of one playground need.
type Options struct {
	Config  *rest.Config     // with the rights of a node, or more
	Names   []string         // one node each
	Network *network.Network // where the pods listen

	// TLS serves the kubelet's endpoint (kubectl logs, port-forward) on a free port of
	// 127.0.0.1, one for each node. It is given to any client that it lets in, so it
	// should ask for a certificate of the API server. Nil: no endpoint.
	TLS *tls.Config

	// GatewayAddr is where pods reach names that are no Service's: the playground's
	// gateway. Nil, or an empty answer: such names do not exist.
	GatewayAddr func() string

	// Scraped is told where a pod begins to serve /metrics (host:port) and with which
	// labels, again when the pod's labels change, and with nil labels when it ends. It
	// must not block. Nil: nobody wants to know.
	Scraped func(address string, labels map[string]string)

	// CrashBackoff is the first delay of CrashLoopBackOff, doubling up to five minutes;
	// 1s if zero (a kubelet has 10s).
	CrashBackoff time.Duration

	Log   *slog.Logger
	Ready func() // called once, when every node is registered and takes pods
}

// Run runs the nodes until ctx ends, or one of them cannot go on. Pods end with it.
func Run(ctx context.Context, o Options) error {
	if len(o.Names) == 0 || o.Config == nil || o.Network == nil {
		return errors.New("node: Config, Names and Network are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(vklog.WithLogger(ctx, vkLogger{o.Log}))
	defer cancel()
	client, err := kubernetes.NewForConfig(unlimited(o.Config))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := startResolver(ctx, o, client); err != nil {
		return err
	}
	broadcaster := record.NewBroadcasterWithCorrelatorOptions(record.CorrelatorOptions{BurstSize: 100, QPS: 1})
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: client.CoreV1().Events("")})

	return runAll(ctx, cancel, o, client, broadcaster)
}

func runAll(ctx context.Context, cancel context.CancelFunc, o Options, client kubernetes.Interface,
	b record.EventBroadcaster,
) error {
	failures := make(chan error, len(o.Names))
	var all, ready sync.WaitGroup
	for _, name := range o.Names {
		ready.Add(1)
		once := sync.OnceFunc(ready.Done)
		all.Go(func() {
			defer cancel()
			defer once()
			if err := runOne(ctx, o, client, name, b, once); err != nil && ctx.Err() == nil {
				failures <- fmt.Errorf("node %s: %w", name, err)
			}
		})
	}
	go func() {
		ready.Wait()
		if o.Ready != nil && ctx.Err() == nil {
			o.Ready()
		}
	}()
	all.Wait()
	close(failures)
	return <-failures
}

// unlimited lets the API server's fairness decide how much a node may ask.
func unlimited(c *rest.Config) *rest.Config {
	c = rest.CopyConfig(c)
	c.QPS = -1
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c.ContentType = runtime.ContentTypeProtobuf
	return c
}

// startResolver gives the network the cluster's names.
func startResolver(ctx context.Context, o Options, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim))
	r, err := newResolver(factory, o.GatewayAddr)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("watch %v: %w", kind, ctx.Err())
		}
	}
	o.Network.SetResolver(r)
	return nil
}

// trim drops what nobody here reads, for every object kept in a cache.
func trim(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	if p, ok := o.(*corev1.Pod); ok {
		trimPod(&p.Spec)
	}
	return o, nil
}

func trimPod(s *corev1.PodSpec) {
	s.Tolerations, s.Affinity, s.TopologySpreadConstraints, s.SecurityContext, s.ImagePullSecrets = nil, nil, nil, nil, nil
	s.Volumes = slices.Clip(slices.DeleteFunc(s.Volumes,
		func(v corev1.Volume) bool { return v.ConfigMap == nil && v.Secret == nil }))
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			list[i].VolumeMounts, list[i].SecurityContext = nil, nil
		}
	}
}

// runOne runs one node.
func runOne(ctx context.Context, o Options, client kubernetes.Interface, name string, b record.EventBroadcaster,
	ready func(),
) error {
	recorder := b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: name})
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) {
			l.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", name).String()
		}))
	pods := factory.Core().V1().Pods()
	probes := newProber(o.Network.DialContext)
	h := &host{
		network: o.Network, events: recorder, log: o.Log.With("node", name), times: defaultTimes(o.CrashBackoff),
		scraped: o.Scraped, images: builtIn, probe: probes.probe, hookGet: probes.hookGet,
		lookUp: func(ctx context.Context, p *corev1.Pod, c *corev1.Container) (environment, error) {
			return lookUpIn(ctx, client, p, c)
		},
	}
	v := newProvider(h, client, pods.Lister())
	defer v.stopAll()
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, now any) { v.observed(now.(*corev1.Pod)) },
	}); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	port, closeServer, err := serveKubelet(o.TLS, v.handler())
	if err != nil {
		return err
	}
	defer closeServer()
	pc, err := podController(client, factory, v, recorder)
	if err != nil {
		return fmt.Errorf("make pod controller: %w", err)
	}
	nc, err := vk.NewNodeController(vk.NaiveNodeProvider{}, nodeObject(name, port), client.CoreV1().Nodes(),
		vk.WithNodeEnableLeaseV1(client.CoordinationV1().Leases(corev1.NamespaceNodeLease), vk.DefaultLeaseDuration))
	if err != nil {
		return fmt.Errorf("make node controller: %w", err)
	}
	factory.Start(ctx.Done())
	return runControllers(ctx, v, pc, nc, ready)
}

// podWorkers and publishers bound how many pods are worked on at a time: they mostly
// wait for the API server.
const (
	podWorkers = 24
	publishers = 4
)

func podController(client kubernetes.Interface, factory informers.SharedInformerFactory, v *provider,
	recorder record.EventRecorder,
) (*vk.PodController, error) {
	limit := func() workqueue.TypedRateLimiter[any] {
		return workqueue.NewTypedItemExponentialFailureRateLimiter[any](time.Millisecond, 5*time.Second)
	}
	unused := informers.NewSharedInformerFactory(client, 0) // the library wants them; environments are made here
	return vk.NewPodController(vk.PodControllerConfig{
		PodClient:                            &podClient{client.CoreV1(), v},
		PodInformer:                          factory.Core().V1().Pods(),
		EventRecorder:                        ownEvents{recorder},
		Provider:                             v,
		ConfigMapInformer:                    unused.Core().V1().ConfigMaps(),
		SecretInformer:                       unused.Core().V1().Secrets(),
		ServiceInformer:                      unused.Core().V1().Services(),
		SkipDownwardAPIResolution:            true,
		SyncPodsFromKubernetesRateLimiter:    limit(),
		DeletePodsFromKubernetesRateLimiter:  limit(),
		SyncPodStatusFromProviderRateLimiter: limit(),
	})
}

// runControllers runs what the library does and what it leaves to us, until ctx ends
// or a part of it does.
func runControllers(ctx context.Context, v *provider, pc *vk.PodController, nc *vk.NodeController, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer v.queue.ShutDown()
	defer cancel()

	var podErr, nodeErr error
	all.Go(func() { defer cancel(); podErr = pc.Run(ctx, podWorkers) })
	select {
	case <-pc.Ready():
	case <-pc.Done():
		return podErr
	case <-ctx.Done():
		return ctx.Err()
	}
	for range publishers {
		all.Go(func() { v.publish(ctx) })
	}
	all.Go(func() { defer cancel(); nodeErr = nc.Run(ctx) })
	select {
	case <-nc.Ready():
		ready()
	case <-ctx.Done():
	}
	<-ctx.Done()
	<-pc.Done()
	<-nc.Done()
	return errors.Join(podErr, nodeErr)
}

// serveKubelet opens the kubelet's endpoint on a free port.
func serveKubelet(config *tls.Config, h http.Handler) (port int, closeServer func(), err error) {
	if config == nil {
		return 0, func() {}, nil
	}
	l, err := tls.Listen("tcp", hostIP+":0", config)
	if err != nil {
		return 0, nil, fmt.Errorf("listen for the kubelet endpoint: %w", err)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = server.Serve(l) }()
	return l.Addr().(*net.TCPAddr).Port, func() { _ = server.Close() }, nil
}

// nodeObject is the node as it registers: ready, and large enough for anything.
func nodeObject(name string, port int) *corev1.Node {
	large := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("10000"),
		corev1.ResourceMemory:           resource.MustParse("100Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Ti"),
		corev1.ResourcePods:             resource.MustParse("10000"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname:                                      name,
			corev1.LabelOSStable:                                      goruntime.GOOS,
			corev1.LabelArchStable:                                    goruntime.GOARCH,
			corev1.LabelInstanceTypeStable:                            "sluice-playground",
			"node.kubernetes.io/exclude-from-external-load-balancers": "",
		}},
		Status: corev1.NodeStatus{
			Capacity: large, Allocatable: large,
			Conditions:      nodeConditions(metav1.Now()),
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: hostIP}},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)}},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: goruntime.GOARCH, OperatingSystem: goruntime.GOOS,
				KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "sluice://1", OSImage: "Sluice playground",
			},
		},
	}
}

func nodeConditions(now metav1.Time) []corev1.NodeCondition {
	list := []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue,
		Reason: "KubeletReady", Message: "the playground's node takes pods",
	}}
	for _, c := range []struct {
		kind   corev1.NodeConditionType
		reason string
	}{
		{corev1.NodeMemoryPressure, "KubeletHasSufficientMemory"},
		{corev1.NodeDiskPressure, "KubeletHasNoDiskPressure"},
		{corev1.NodePIDPressure, "KubeletHasSufficientPID"},
	} {
		list = append(list, corev1.NodeCondition{Type: c.kind, Status: corev1.ConditionFalse, Reason: c.reason})
	}
	for i := range list {
		list[i].LastHeartbeatTime, list[i].LastTransitionTime = now, now
	}
	return list
}
