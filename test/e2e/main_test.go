package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/playground"
)

// atOnce is how many tests run side by side unless -parallel says something else: each waits most of the time.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	parallel := false
	flag.Visit(func(f *flag.Flag) { parallel = parallel || f.Name == "test.parallel" })
	if !parallel {
		_ = flag.Set("test.parallel", atOnce)
	}
	playground.Flags = sharedHabits
	if foreign() {
		_ = os.Setenv("SLUICE_PLAYGROUND_KUBECONFIG", os.Getenv("SLUICE_E2E_KUBECONFIG"))
		_ = os.Setenv("SLUICE_PLAYGROUND_GATEWAY", os.Getenv("SLUICE_E2E_GATEWAY"))
	}
	playground.Main(ending{m})
}

// ending stops the suite's controller before the cluster under it goes. A panic of it fails the suite.
type ending struct{ m *testing.M }

func (e ending) Run() int {
	code := e.m.Run()
	if suite.controller == nil {
		return code
	}
	suite.controller.stop()
	if said := suite.controller.log.panicked(); said != "" {
		fmt.Fprintf(os.Stderr, "the controller has panicked, whatever the tests say: %s\n", said)
		return max(code, 1)
	}
	return code
}

// foreign says whether the cluster is not a playground of the suite's own.
func foreign() bool { return os.Getenv("SLUICE_E2E_KUBECONFIG") != "" }

// suite is what most tests share.
var suite struct {
	once       sync.Once
	err        error
	controller *process
}

// shared gives the cluster that most tests share, with Sluice at work in it.
func shared(t *testing.T) *playground.Cluster {
	t.Helper()
	c := playground.Start(t)
	suite.once.Do(func() {
		if foreign() {
			return
		}
		if suite.err = install(c.Kubeconfig); suite.err == nil {
			suite.controller, suite.err = startController(c.Kubeconfig, whenVerbose(), "--notify-hosts", "127.0.0.1",
				"--metric-hosts", "127.0.0.1", "--metric-hosts-loopback", "--prometheus-address", c.Prometheus, "--request-metrics", "playground",
				"--scrape-interval", "1s")
		}
	})
	if suite.err != nil {
		t.Fatal(suite.err)
	}
	return c
}

// alone gives a playground for this test and its subtests, with Sluice installed and no controller running.
func alone(t *testing.T, flags ...string) *playground.Cluster {
	t.Helper()
	if foreign() {
		t.Skip("needs a controller of its own: runs only on a playground that the suite starts")
	}
	c := playground.New(t, flags...)
	if err := install(c.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	return c
}

func install(kubeconfig string) error {
	out, err := command(context.Background(), "sluice", "--kubeconfig", kubeconfig, "install", "--skip-controller").CombinedOutput()
	if err != nil {
		return fmt.Errorf("sluice install: %w\n%s", err, out)
	}
	return nil
}

var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("SLUICE_BINARY"); b != "" {
		return b, nil
	}
	// Kept from run to run: building it again then costs nothing.
	dir := filepath.Join(os.TempDir(), "sluice-e2e-"+strconv.Itoa(os.Getuid()))
	out := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", out, "github.com/sluice-dev/sluice/cmd/sluice")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, said)
	}
	return out, nil
})

// command is a call of the sluice under test.
func command(ctx context.Context, as string, args ...string) *exec.Cmd {
	b, err := binary()
	cmd := exec.CommandContext(ctx, b, args...)
	cmd.Args[0] = as
	if err != nil {
		cmd.Err = err
	}
	return cmd
}

// rate is how many requests a second each test sends.
func rate(gateway string) (int, error) {
	if r := os.Getenv("SLUICE_E2E_RATE"); r != "" {
		return strconv.Atoi(r)
	}
	u, err := url.Parse(gateway)
	if err != nil {
		return 0, err
	}
	switch u.Hostname() {
	case "127.0.0.1", "::1", "localhost":
		return 200, nil
	}
	return 0, errors.New("the gateway is not on this machine: say by SLUICE_E2E_RATE how many requests a second each test may send there")
}

func settle() string {
	if s := os.Getenv("SLUICE_E2E_SETTLE"); s != "" {
		return s
	}
	if foreign() {
		return "7s"
	}
	return "2s"
}

// sharedHabits are those of ingress-nginx and Traefik at a third of their time, so that every release of the suite meets
// a gateway that follows late, in batches, and reports before it serves; TestFaultCGateways has them as they are. The
// longest way is a second until the next reading and 300 ms until it is in force.
var sharedHabits = []string{"--gateway-sync-every", "1s", "--gateway-delay", "300ms", "--gateway-early-accepted"}

const (
	// long bounds what takes pods, a release or a controller's start; short what takes one reconcile.
	long  = 90 * time.Second
	short = 30 * time.Second
)
