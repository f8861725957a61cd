// Package playground gives tests a real API server: it runs bin/sluice-playground and hands out namespaces,
// people and kubectl.
//
// All packages share one cluster when SLUICE_PLAYGROUND_KUBECONFIG names its kubeconfig (and, for tests with
// traffic, SLUICE_PLAYGROUND_GATEWAY its gateway's URL); any cluster will do. Otherwise each package starts
// one of its own, which takes a few seconds. SLUICE_PLAYGROUND names the binary, if it is not
// bin/sluice-playground.
//
// Only tests import it, and it imports nothing of ours: it knows the playground as a user does.
package playground

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a running API server with pods and a gateway.
type Cluster struct {
	// Kubeconfig is the file of the administrator.
	Kubeconfig string
	// Gateway is the URL of the gateway; empty when it is not known.
	Gateway string
	// Prometheus is the URL of the Prometheus that scrapes the gateway and the pods; empty when there is none.
	Prometheus string
	// Config is the administrator's connection, without a client-side rate limit.
	Config *rest.Config

	// binary of the playground, and its directory; no directory where the cluster is somebody else's.
	binary, dir string
}

// Flags are further flags of sluice-playground up for the package's cluster; they are to be set before the first Start.
var Flags []string

var shared struct {
	once    sync.Once
	cluster *Cluster
	process *process
	err     error
}

// Main runs a package's tests and then stops the cluster that they started. A package that uses Start has
//
//	func TestMain(m *testing.M) { playground.Main(m) }
func Main(m interface{ Run() int }) {
	code := m.Run()
	if shared.process != nil {
		shared.process.stop()
	}
	os.Exit(code)
}

// Start gives the package's cluster, started at the first call. With -short the test is skipped.
func Start(t testing.TB) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real API server; run without -short")
	}
	shared.once.Do(func() { shared.cluster, shared.process, shared.err = open() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// New starts a cluster for this test alone, with further flags of sluice-playground up, and stops it at the
// test's end.
func New(t testing.TB, flags ...string) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real API server; run without -short")
	}
	binary, err := findBinary()
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(binary, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	c, err := newCluster(binary, p.kubeconfig, p.gateway, p.prometheus)
	if err != nil {
		t.Fatal(err)
	}
	c.dir = p.cluster()
	return c
}

// open finds the cluster that the environment names, or starts one.
func open() (*Cluster, *process, error) {
	binary, err := findBinary()
	if err != nil {
		return nil, nil, err
	}
	if kubeconfig := os.Getenv("SLUICE_PLAYGROUND_KUBECONFIG"); kubeconfig != "" {
		c, err := newCluster(binary, kubeconfig, os.Getenv("SLUICE_PLAYGROUND_GATEWAY"), "")
		return c, nil, err
	}
	p, err := launch(binary, Flags...)
	if err != nil {
		return nil, nil, err
	}
	c, err := newCluster(binary, p.kubeconfig, p.gateway, p.prometheus)
	if err != nil {
		p.stop()
		return nil, nil, err
	}
	c.dir = p.cluster()
	return c, p, nil
}

// Person gives the kubeconfig of somebody with a client certificate in that name, who belongs to these groups. It is
// empty where the cluster is none of ours, whose authority cannot be asked.
func (c *Cluster) Person(t testing.TB, name string, groups ...string) (kubeconfig string) {
	t.Helper()
	if c.dir == "" {
		return ""
	}
	args := []string{"user", name, "--dir", c.dir}
	for _, g := range groups {
		args = append(args, "--group", g)
	}
	data, err := exec.CommandContext(t.Context(), c.binary, args...).Output()
	if err != nil {
		t.Fatalf("make a certificate for %s: %v", name, err)
	}
	kubeconfig = filepath.Join(t.TempDir(), name+".kubeconfig")
	if err := os.WriteFile(kubeconfig, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func newCluster(binary, kubeconfig, gateway, prometheus string) (*Cluster, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS = -1
	return &Cluster{Kubeconfig: kubeconfig, Gateway: gateway, Prometheus: prometheus, Config: cfg, binary: binary}, nil
}

// findBinary looks for the playground: where the environment says, else in bin of the repository.
func findBinary() (string, error) {
	if binary := os.Getenv("SLUICE_PLAYGROUND"); binary != "" {
		return binary, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the playground: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		binary := filepath.Join(dir, "bin", "sluice-playground")
		if _, err := os.Stat(binary); err == nil {
			return binary, nil
		}
	}
	return "", fmt.Errorf("bin/sluice-playground not found in this or a parent directory: " +
		"build it (in the directory playground: CGO_ENABLED=0 go build -o ../bin/sluice-playground " +
		"./cmd/sluice-playground), or name it by SLUICE_PLAYGROUND")
}

// Namespace makes a namespace for this test and deletes it at the test's end.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	namespaces := c.Dynamic(t).Resource(resource("", "v1", "namespaces"))
	made, err := namespaces.Create(t.Context(), object("v1", "Namespace", "test-"), metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make namespace: %v", err)
	}
	t.Cleanup(func() {
		err := namespaces.Delete(context.Background(), made.GetName(), metav1.DeleteOptions{})
		if err != nil {
			t.Logf("delete namespace %s: %v", made.GetName(), err)
		}
	})
	return made.GetName()
}

// Dynamic is the administrator's client.
func (c *Cluster) Dynamic(t testing.TB) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		t.Fatalf("make client: %v", err)
	}
	return client
}

// As is the connection of another person, as the API server knows him: the administrator impersonates him,
// and the API server then treats the request as his in RBAC and admission. The group of everybody who is
// signed in is added, as it is for a real one.
func (c *Cluster) As(user string, groups ...string) *rest.Config {
	cfg := rest.CopyConfig(c.Config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append([]string{"system:authenticated"}, groups...)}
	return cfg
}
