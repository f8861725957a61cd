package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// stopGrace bounds the orderly end of a component. The API server would wait for its clients'
	// watches; as all state is in etcd, nothing is lost by ending it.
	stopGrace     = 2 * time.Second
	etcdStopGrace = 10 * time.Second
)

// ControlPlane is a running control plane.
type ControlPlane struct {
	plan  *plan
	admin *rest.Config

	children []*child // in the order of their start
	stopping chan struct{}
	stopOnce sync.Once
	stopErr  error

	failed  chan struct{}
	failOne sync.Once
	failure error // valid when failed is closed
}

// Start brings a control plane up and returns when it can be worked with. The context bounds the start
// only; Stop ends what was started. If Start returns an error, nothing runs.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	p, err := prepare(o)
	if err != nil {
		return nil, err
	}
	cp := &ControlPlane{plan: p, stopping: make(chan struct{}), failed: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	if err := cp.start(ctx); err != nil {
		cp.fail(err)
		return nil, errors.Join(err, cp.Stop())
	}
	return cp, nil
}

// start brings the components up in the order of their need; etcd and the API server side by side,
// because the API server waits for etcd by itself.
func (cp *ControlPlane) start(ctx context.Context) error {
	admin, err := cp.ConfigFor(adminUser, adminGroup)
	if err != nil {
		return err
	}
	cp.admin = admin
	ctx, cancel := cp.untilFailure(ctx)
	defer cancel()
	for _, name := range []string{etcdName, apiServerName} {
		if err := cp.launch(name); err != nil {
			return err
		}
	}
	if err := awaitReady(ctx, cp.admin); err != nil {
		return cp.explain(err, apiServerName)
	}
	for _, name := range []string{controllerManagerName, schedulerName} {
		if err := cp.launch(name); err != nil {
			return err
		}
	}
	if err := install(ctx, cp.admin); err != nil {
		return cp.explain(err, apiServerName)
	}
	return cp.explain(awaitControllers(ctx, cp.admin), controllerManagerName)
}

// explain puts the reason why a wait was cut short in place of "context canceled".
func (cp *ControlPlane) explain(err error, suspect string) error {
	if err == nil {
		return nil
	}
	if cp.hasFailed() {
		return cp.failure
	}
	return fmt.Errorf("%w; the log of %s is %s and ends with:\n%s", err, suspect, cp.logFile(suspect),
		tail(cp.logFile(suspect)))
}

// untilFailure ends the context when a component dies, so that nobody waits for the dead.
func (cp *ControlPlane) untilFailure(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-cp.failed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (cp *ControlPlane) launch(name string) error {
	args := map[string]func() []string{
		etcdName:              cp.plan.etcdArgs,
		apiServerName:         cp.plan.apiServerArgs,
		controllerManagerName: cp.plan.controllerManagerArgs,
		schedulerName:         cp.plan.schedulerArgs,
	}[name]()
	command := append([]string{}, cp.plan.options.Command...)
	c, err := startChild(childSpec{
		name:    name,
		command: append(append(command, name), args...),
		env:     environment(name),
		logFile: cp.logFile(name),
		lock:    cp.plan.dir.lock,
	})
	if err != nil {
		return err
	}
	cp.children = append(cp.children, c)
	cp.plan.options.Log.Debug("started", "component", name, "pid", c.command.Process.Pid)
	go cp.watch(c)
	return nil
}

// environment trades a little processor time for memory, unless the user has said otherwise.
func environment(name string) []string {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	if name == apiServerName {
		return []string{"GOGC=75"}
	}
	return []string{"GOGC=50"}
}

func (cp *ControlPlane) watch(c *child) {
	<-c.done
	select {
	case <-cp.stopping:
	default:
		cp.fail(c.failure())
	}
}

// fail keeps the first failure: what follows is its consequence.
func (cp *ControlPlane) fail(err error) {
	cp.failOne.Do(func() {
		cp.failure = err
		close(cp.failed)
	})
}

func (cp *ControlPlane) hasFailed() bool {
	select {
	case <-cp.failed:
		return true
	default:
		return false
	}
}

// Wait returns nil when the context ends, and an error, a *ChildError, when a component ends before.
func (cp *ControlPlane) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-cp.failed:
		return cp.failure
	}
}

// Stop ends every component, the last started first, and lets the directory go. An ephemeral one is
// removed, unless a component failed: then its log may still be wanted.
func (cp *ControlPlane) Stop() error {
	cp.stopOnce.Do(func() {
		close(cp.stopping)
		for i := len(cp.children) - 1; i >= 0; i-- {
			c := cp.children[i]
			c.stop(cp.grace(c.name))
		}
		cp.stopErr = cp.plan.dir.close(cp.plan.dir.marker.Ephemeral && !cp.hasFailed())
	})
	return cp.stopErr
}

// grace is none for a cluster that nobody will see again.
func (cp *ControlPlane) grace(name string) time.Duration {
	if cp.plan.dir.marker.Ephemeral {
		return 0
	}
	if name == etcdName {
		return etcdStopGrace
	}
	return stopGrace
}

func (cp *ControlPlane) logFile(name string) string {
	return cp.plan.dir.file(logDir, name+".log")
}

// Dir is the directory that holds everything.
func (cp *ControlPlane) Dir() string { return cp.plan.dir.path }

// URL is the API server's address.
func (cp *ControlPlane) URL() string { return cp.plan.server() }

// Config is the admin's access to the API server.
func (cp *ControlPlane) Config() *rest.Config { return rest.CopyConfig(cp.admin) }

// ConfigFor is the access of a user with no rights but those that RBAC gives to the name and groups.
func (cp *ControlPlane) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	return cp.plan.credentials.config(cp.plan.server(), user, groups)
}

// KubeletTLS is what a node's HTTPS endpoint on loopback needs for `kubectl logs` to reach it.
func (cp *ControlPlane) KubeletTLS() (*tls.Config, error) { return cp.plan.credentials.kubeletTLS() }

// LogDir is where the logs are, one file a component.
func (cp *ControlPlane) LogDir() string { return cp.plan.dir.file(logDir) }

// WriteKubeconfig writes the admin's kubeconfig. Whoever finds the file finds all of it. It replaces
// an older one of a playground and nothing else.
func (cp *ControlPlane) WriteKubeconfig(path string) error {
	if err := CheckKubeconfig(path); err != nil {
		return err
	}
	data, err := cp.plan.credentials.kubeconfig(cp.plan.server(), adminUser, []string{adminGroup})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make directory for kubeconfig: %w", err)
	}
	return writeAtomically(path, data)
}
