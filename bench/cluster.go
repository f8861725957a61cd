package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// sluiceUser is whom the API server sees in the controller.
const sluiceUser = "system:serviceaccount:sluice-system:sluice"

// cluster is a playground with Sluice installed.
type cluster struct {
	b          *bench
	dir        string
	config     *rest.Config
	client     client.Client
	audit      *auditLog
	seen       *tracker
	playground *process
	controller *process
	metrics    string
}

// auditPolicy has every write's result that tells something recorded whole, so that one clock, the API server's, dates
// all that happens, and a write without effect shows by its resourceVersion.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]}
- {level: None, resources: [{group: coordination.k8s.io, resources: [leases]}]}
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources: [%s]
- {level: Metadata, users: [playground-admin]}
- {level: None}
`

// What of the world is recorded whole: everything that one release touches, or, where many run, what dates a delay.
const (
	everything = `{group: "", resources: [services]}, {group: apps, resources: ["*"]}, {group: sluice.dev, resources: ["*"]}, ` + dated
	dated      = `{group: "", resources: [pods/status]}, {group: networking.k8s.io, resources: [ingresses]}, ` +
		`{group: gateway.networking.k8s.io, resources: [httproutes]}, {group: discovery.k8s.io, resources: [endpointslices]}, {group: sluice.dev, resources: [decisions]}`
	nothing = `{group: example.invalid, resources: [nothing]}`
)

// start runs a cluster with Sluice in it; the controller is not started yet.
func (b *bench) start(ctx context.Context, recorded string) (*cluster, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	c := &cluster{b: b, dir: dir, audit: &auditLog{path: filepath.Join(dir, "audit.log")}}
	if err := c.up(ctx, recorded); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) up(ctx context.Context, recorded string) error {
	policy, kubeconfig := filepath.Join(c.dir, "policy.yaml"), filepath.Join(c.dir, "kubeconfig")
	if err := os.WriteFile(policy, fmt.Appendf(nil, auditPolicy, recorded), 0o600); err != nil {
		return fmt.Errorf("write audit policy: %w", err)
	}
	var err error
	c.playground, err = launch(filepath.Join(c.dir, "playground.out"), c.b.playground, "up", "--ephemeral", "--dir",
		filepath.Join(c.dir, "cluster"),
		"--kubeconfig", kubeconfig, "--gateway", "127.0.0.1:0", "--audit-log", c.audit.path, "--api-server-arg",
		"--audit-policy-file="+policy)
	if err != nil {
		return err
	}
	err = c.playground.until(ctx, 2*time.Minute, "the playground is ready", func() bool {
		_, err := os.Stat(kubeconfig)
		return err == nil
	})
	if err != nil {
		return err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	c.config.QPS = -1
	if out, err := exec.CommandContext(ctx, c.b.sluice, "--kubeconfig", kubeconfig, "install",
		"--skip-controller").CombinedOutput(); err != nil {
		return fmt.Errorf("install Sluice: %w\n%s", err, out)
	}
	scheme := clientgoscheme.Scheme
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("register kinds: %w", err)
	}
	if c.client, err = client.New(c.config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	c.seen, err = newTracker(ctx, c.config, scheme, sluice.watched()...)
	return err
}

// startController runs Sluice as the API server knows it in a real cluster, and returns when it listens.
func (c *cluster) startController(ctx context.Context) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	c.metrics = "http://" + address + "/metrics"
	c.controller, err = launch(filepath.Join(c.dir, "controller.log"), c.b.sluice, "--kubeconfig",
		filepath.Join(c.dir, "kubeconfig"), "controller",
		"--as", sluiceUser, "--as-group", "system:serviceaccounts", "--as-group", "system:serviceaccounts:sluice-system",
		"--as-group", "system:authenticated",
		"--metrics-bind-address", address, "--health-probe-bind-address", "0")
	if err != nil {
		return err
	}
	return c.controller.until(ctx, time.Minute, "the controller is there", func() bool {
		_, err := c.scrape(ctx)
		return err == nil
	})
}

func (c *cluster) stopController() error {
	if c.controller == nil {
		return nil
	}
	p := c.controller
	c.controller = nil
	return p.stop()
}

func (c *cluster) stop() error {
	if c.seen != nil {
		c.seen.stop()
	}
	err := c.stopController()
	if c.playground != nil {
		err = errors.Join(err, c.playground.stop())
	}
	if c.b.keep {
		c.b.say("kept: %s", c.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// process is a child whose output goes to a file.
type process struct {
	name   string
	cmd    *exec.Cmd
	output string
	exited chan struct{}
}

func launch(output, program string, args ...string) (*process, error) {
	f, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	p := &process{
		name: filepath.Base(program), cmd: exec.Command(program, args...), output: output,
		exited: make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w (make build makes it)", program, err), f.Close())
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // ProcessState says how it ended.
		f.Close()
	}()
	return p, nil
}

// until waits for something that this process brings about.
func (p *process) until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			return fmt.Errorf("wait until %s: %s ended: %s\n%s", what, p.name, p.cmd.ProcessState, p.tail())
		case <-late:
			return fmt.Errorf("wait until %s: not in %s\n%s", what, limit, p.tail())
		case <-tick.C:
		}
	}
	return nil
}

func (p *process) tail() string {
	data, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(data, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

// stop ends it in order, and by force if that takes too long.
func (p *process) stop() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s had ended before it was told to: %s\n%s", p.name, p.cmd.ProcessState, p.tail())
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGINT) // An error means that it has ended.
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	return nil
}

// memory is how much of a process is in memory now, in MiB, as the kernel counts it.
func (p *process) memory() (float64, error) {
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", p.name, err)
	}
	s, err := proc.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", p.name, err)
	}
	return float64(s.VmRSS) / (1 << 20), nil
}
