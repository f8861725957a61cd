package node

import (
	"errors"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func service(namespace, name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			ClusterIP: ip, ClusterIPs: []string{ip},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
}

func endpoint(ip string, ready, serving bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{
		Ready: &ready, Serving: &serving, Terminating: new(!ready && serving),
	}}
}

func endpoints(namespace, name string, list ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		Ports:      []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
		Endpoints:  list,
	}
}

func TestResolve(t *testing.T) {
	client := fake.NewClientset(
		service("demo", "shop", "198.19.0.1"),
		endpoints("demo", "shop", endpoint("198.18.0.1", true, true), endpoint("198.18.0.2", false, false), endpoint("198.18.0.9", false, true)),
		service("demo", "draining", "198.19.0.2"), endpoints("demo", "draining", endpoint("198.18.0.3", false, true)),
		service("demo", "empty", "198.19.0.3"),
		service("demo", "headless", corev1.ClusterIPNone), endpoints("demo", "headless", endpoint("198.18.0.4", true, true)),
		service("other", "shop", "198.19.0.4"), endpoints("other", "shop", endpoint("198.18.0.5", true, true)),
	)
	factory := informers.NewSharedInformerFactory(client, 0)
	r, err := newResolver(factory, func() string { return "127.0.0.1:8080" })
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())

	for _, tc := range []struct {
		namespace, host string
		port            int
		want            string // "": unknown, "refused": connection refused
	}{
		{"demo", "shop", 80, "198.18.0.1:8080"},
		{"demo", "shop.demo", 80, "198.18.0.1:8080"},
		{"other", "shop.demo.svc", 80, "198.18.0.1:8080"},
		{"other", "shop.demo.svc.cluster.local", 80, "198.18.0.1:8080"},
		{"other", "shop.demo.svc.cluster.local.", 80, "198.18.0.1:8080"},
		{"other", "shop", 80, "198.18.0.5:8080"},
		{"", "198.19.0.1", 80, "198.18.0.1:8080"},
		{"demo", "draining", 80, "198.18.0.3:8080"},
		{"demo", "headless", 8080, "198.18.0.4:8080"},
		{"demo", "shop", 81, "refused"},
		{"demo", "empty", 80, "refused"},
		{"demo", "a-prod.demo", 80, "127.0.0.1:8080"},
		{"demo", "nosuch", 80, ""},
		{"demo", "nosuch.demo.svc", 80, ""},
		{"demo", "nosuch.demo.svc.cluster.local", 80, ""},
		{"", "198.19.9.9", 80, ""},
	} {
		addr, ok, err := r.Resolve(t.Context(), tc.namespace, tc.host, tc.port)
		switch {
		case tc.want == "refused":
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s:%d: %s %v, want connection refused", tc.host, tc.port, addr, err)
			}
		case addr != tc.want || ok != (tc.want != "") || err != nil:
			t.Errorf("%s:%d from %s: %q %v %v, want %q", tc.host, tc.port, tc.namespace, addr, ok, err, tc.want)
		}
	}
}
