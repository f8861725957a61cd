package node

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

// host is what a node gives its pods. Functions stand where a test puts its own.
type host struct {
	network *network.Network
	events  record.EventRecorder
	log     *slog.Logger
	times   times

	images  func(image string) (program, error)
	probe   func(ctx context.Context, ip string, ports []corev1.ContainerPort, h *corev1.ProbeHandler) (bool, string)
	hookGet func(ctx context.Context, ip string, ports []corev1.ContainerPort, g *corev1.HTTPGetAction) error
	lookUp  func(ctx context.Context, pod *corev1.Pod, c *corev1.Container) (environment, error)
	scraped func(address string, labels map[string]string) // see Options.Scraped; may be nil
	changed func(*pod)                                     // the pod's status may have changed; must not block
}

// times are the kubelet's constants, some of them shorter here.
type times struct {
	crashBase, crashLimit time.Duration // CrashLoopBackOff
	pullBase, pullLimit   time.Duration // ImagePullBackOff
	configRetry           time.Duration // CreateContainerConfigError, missing volumes
}

func defaultTimes(crashBase time.Duration) times {
	if crashBase <= 0 {
		crashBase = time.Second
	}
	return times{
		crashBase: crashBase, crashLimit: 5 * time.Minute,
		pullBase: 10 * time.Second, pullLimit: 5 * time.Minute,
		configRetry: 2 * time.Second,
	}
}
