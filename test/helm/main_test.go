package helm

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	kube3 "helm.sh/helm/v3/pkg/kube"
	kube4 "helm.sh/helm/v4/pkg/kube"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/test/playground"
)

// atOnce is how many tests run side by side unless -parallel says something else: each waits most of the time.
const atOnce = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	parallel := false
	flag.Visit(func(f *flag.Flag) { parallel = parallel || f.Name == "test.parallel" })
	if !parallel {
		_ = flag.Set("test.parallel", atOnce)
	}
	kube3.ManagedFieldsManager, kube4.ManagedFieldsManager = "helm", "helm" // as the commands name themselves
	ctrllog.SetLogger(logr.Discard())
	playground.Flags = []string{"--prometheus", ""}
	playground.Main(ending{m})
}

// ending stops the controller before the cluster under it goes. A panic of it fails the tests.
type ending struct{ m *testing.M }

func (e ending) Run() int {
	code := e.m.Run()
	if suite.controller == nil {
		return code
	}
	suite.controller.stop()
	if bytes.Contains(suite.controller.said(), []byte("Observed a panic")) {
		fmt.Fprintf(os.Stderr, "the controller has panicked, whatever the tests say:\n%s\n", suite.controller.said())
		return max(code, 1)
	}
	return code
}

// suite is what all tests share.
var suite struct {
	once       sync.Once
	err        error
	controller *controller
}

// shared gives the cluster that all tests share, with Sluice at work in it.
func shared(t *testing.T) *playground.Cluster {
	t.Helper()
	c := playground.Start(t)
	suite.once.Do(func() {
		if out, err := sluice(context.Background(), c.Kubeconfig, "install", "--skip-controller").CombinedOutput(); err != nil {
			suite.err = fmt.Errorf("sluice install: %w\n%s", err, out)
			return
		}
		suite.controller, suite.err = startController(c.Kubeconfig)
	})
	if suite.err != nil {
		t.Fatal(suite.err)
	}
	return c
}

// sluice is a call of the command under test.
func sluice(ctx context.Context, kubeconfig string, args ...string) *exec.Cmd {
	binary := os.Getenv("SLUICE_BINARY")
	if binary == "" {
		binary = filepath.Join("..", "..", "bin", "sluice")
	}
	return exec.CommandContext(ctx, binary, append([]string{"--kubeconfig", kubeconfig}, args...)...)
}

// controller is a running sluice controller.
type controller struct {
	cmd    *exec.Cmd
	exited chan struct{}
	mu     sync.Mutex
	log    bytes.Buffer
}

// startController runs it as the user that the admission policies know as Sluice.
func startController(kubeconfig string) (*controller, error) {
	c := &controller{exited: make(chan struct{})}
	c.cmd = sluice(context.Background(), kubeconfig, "controller", "--metrics-bind-address", "0", "--health-probe-bind-address", "0",
		"--as", "system:serviceaccount:sluice-system:sluice", "--as-group", "system:serviceaccounts",
		"--as-group", "system:serviceaccounts:sluice-system", "--as-group", "system:authenticated")
	c.cmd.Stdout, c.cmd.Stderr = c, c
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start controller: %w", err)
	}
	go func() {
		defer close(c.exited)
		_ = c.cmd.Wait()
	}()
	return c, nil
}

func (c *controller) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(data)
}

func (c *controller) said() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.log.Bytes())
}

// stop ends it in order, and by force if it takes too long.
func (c *controller) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(20 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
}
