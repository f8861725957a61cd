package prometheus

import (
	"context"
	"fmt"
	"net"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	serviceNamespace = "monitoring"
	serviceName      = "prometheus"
	servicePort      = 9090
	servicePortName  = "http"

	fieldManager = "sluice-playground"
)

// announce opens a port in the pods' network and makes a Service of it, anew at each
// start, since pods' addresses are not kept.
func announce(ctx context.Context, o Options) (net.Listener, error) {
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	ip, err := o.Network.Allocate()
	if err != nil {
		return nil, err
	}
	l, err := o.Network.Listen(ctx, ip, servicePort)
	if err != nil {
		return nil, fmt.Errorf("open Prometheus' port in the pods' network: %w", err)
	}
	if err := applyService(ctx, client, ip); err != nil { // it may be that somebody is just removing the namespace
		o.Log.Warn("pods do not find Prometheus", "error", err)
	}
	return l, nil
}

// applyService makes the Service, without a selector, and its one endpoint.
func applyService(ctx context.Context, client kubernetes.Interface, ip string) error {
	force := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	core, discovery := client.CoreV1(), client.DiscoveryV1()
	if _, err := core.Namespaces().Apply(ctx, corev1.Namespace(serviceNamespace), force); err != nil {
		return fmt.Errorf("make namespace %s: %w", serviceNamespace, err)
	}
	port := corev1.ServicePort().WithName(servicePortName).WithPort(servicePort)
	service := corev1.Service(serviceName, serviceNamespace).WithSpec(corev1.ServiceSpec().WithPorts(port))
	if _, err := core.Services(serviceNamespace).Apply(ctx, service, force); err != nil {
		return fmt.Errorf("make Service %s/%s: %w", serviceNamespace, serviceName, err)
	}
	slice := applydiscoveryv1.EndpointSlice(serviceName, serviceNamespace).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: serviceName, discoveryv1.LabelManagedBy: fieldManager}).
		WithAddressType(discoveryv1.AddressTypeIPv4).
		WithPorts(applydiscoveryv1.EndpointPort().WithName(servicePortName).WithPort(servicePort)).
		WithEndpoints(applydiscoveryv1.Endpoint().WithAddresses(ip).
			WithConditions(applydiscoveryv1.EndpointConditions().WithReady(true)))
	if _, err := discovery.EndpointSlices(serviceNamespace).Apply(ctx, slice, force); err != nil {
		return fmt.Errorf("make EndpointSlice %s/%s: %w", serviceNamespace, serviceName, err)
	}
	return nil
}
