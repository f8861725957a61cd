package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// usual is where the gateway listens if nobody else does.
const usual = "127.0.0.1:8080"

// sluiceUser is whom the admission policies know as Sluice. In a cluster the controller is that by its
// ServiceAccount; here, outside, it says so.
const sluiceUser = "system:serviceaccount:sluice-system:sluice"

// cluster is a playground with Sluice in it, and the directory with all that they write.
type cluster struct {
	root, dir  string
	kubeconfig string
	gateway    string
	prometheus string
	config     *rest.Config
	out        io.Writer
	playground *child
	controller *child
}

// startCluster starts the playground, installs Sluice and runs its controller. What it returns is to be stopped, also
// beside an error.
func startCluster(ctx context.Context, out io.Writer, root string, failed context.CancelCauseFunc) (*cluster, error) {
	dir, err := os.MkdirTemp("", "sluice-demo-")
	if err != nil {
		return nil, err
	}
	c := &cluster{root: root, dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), out: out}
	if err := c.linkTools(); err != nil {
		return c, err
	}
	if err := c.startPlayground(ctx, failed); err != nil {
		return c, err
	}
	fmt.Fprintln(out, "\nSluice is installed, and its controller runs:\n  $ sluice install --skip-controller")
	installed, err := c.command(ctx, "sluice", "install", "--skip-controller")
	if err != nil {
		return c, err
	}
	fmt.Fprintf(out, "    %d objects created: kinds, rights, admission policies\n", strings.Count(installed, " created\n"))
	c.controller, err = startChild("the controller", filepath.Join(dir, "controller.log"), failed,
		filepath.Join(c.tools(), "sluice"), "controller", "--kubeconfig", c.kubeconfig,
		"--as", sluiceUser, "--as-group", "system:serviceaccounts",
		"--as-group", "system:serviceaccounts:sluice-system", "--as-group", "system:authenticated",
		"--metrics-bind-address", "0", "--health-probe-bind-address", "0",
		"--prometheus-address", c.prometheus, "--request-metrics", "playground", "--metric-hosts-loopback")
	return c, err
}

func (c *cluster) startPlayground(ctx context.Context, failed context.CancelCauseFunc) (err error) {
	address := usual
	if l, err := net.Listen("tcp", usual); err != nil {
		address = "127.0.0.1:0"
		fmt.Fprintf(c.out, "%s is taken, so the gateway listens elsewhere.\n", usual)
	} else {
		l.Close()
	}
	fmt.Fprintln(c.out, "A Kubernetes cluster starts: API server, controllers, scheduler, one node, one gateway ...")
	c.playground, err = startChild("the playground", filepath.Join(c.dir, "playground.log"), failed,
		filepath.Join(c.root, "bin", "sluice-playground"), "up", "--ephemeral", "--dir", filepath.Join(c.dir, "cluster"),
		"--kubeconfig", c.kubeconfig, "--gateway", address)
	if err != nil {
		return err
	}
	err = until(ctx, 2*time.Minute, "the cluster is ready", func() error {
		if !strings.Contains(c.playground.said(), "Ctrl-C ends it") {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		return err
	}
	said := c.playground.said()
	first, _, _ := strings.Cut(said, "\n")
	match := regexp.MustCompile(`(?m)^\s*gateway\s+(http://\S+)`).FindStringSubmatch(said)
	if match == nil {
		return fmt.Errorf("the playground does not say where its gateway is:\n%s", said)
	}
	c.gateway = match[1]
	if match = regexp.MustCompile(`(?m)^\s*prometheus\s+(http://\S+)`).FindStringSubmatch(said); match == nil {
		return fmt.Errorf("the playground does not say where its Prometheus is:\n%s", said)
	}
	c.prometheus = match[1]
	fmt.Fprintf(c.out, "%s; gateway %s\n", first, c.gateway)
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	c.config.QPS, c.config.WarningHandler = -1, rest.NoWarnings{}
	return nil
}

// stop ends everything and leaves nothing.
func (c *cluster) stop() error {
	err := errors.Join(c.controller.stop(15*time.Second), c.playground.stop(30*time.Second))
	return errors.Join(err, os.RemoveAll(c.dir))
}

// tools is a directory to put into PATH.
func (c *cluster) tools() string { return filepath.Join(c.dir, "bin") }

// linkTools puts kubectl and sluice there: the playground's binary is kubectl when it is called so.
func (c *cluster) linkTools() error {
	if err := os.Mkdir(c.tools(), 0o700); err != nil {
		return err
	}
	for name, binary := range map[string]string{"kubectl": "sluice-playground", "sluice": "sluice"} {
		target := filepath.Join(c.root, "bin", binary)
		if _, err := os.Stat(target); err != nil {
			return fmt.Errorf("%w: build it with `make build`", err)
		}
		if err := os.Symlink(target, filepath.Join(c.tools(), name)); err != nil {
			return err
		}
	}
	return nil
}

// command runs kubectl or sluice as a user in the repository would.
func (c *cluster) command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.tools(), name), args...)
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output.String())
	}
	return output.String(), nil
}

// show is command with both sides printed, as in a terminal.
func (c *cluster) show(ctx context.Context, name string, args ...string) error {
	fmt.Fprintf(c.out, "  $ %s %s\n", name, strings.Join(args, " "))
	output, err := c.command(ctx, name, args...)
	for line := range strings.Lines(output) {
		fmt.Fprintf(c.out, "    %s\n", strings.TrimRight(line, "\n"))
	}
	return err
}

// until tries until there is no error, for a time.
func until(ctx context.Context, limit time.Duration, what string, try func() error) error {
	return untilEvery(ctx, 50*time.Millisecond, limit, what, try)
}

// untilEvery is until for what costs too much to be tried all the time.
func untilEvery(ctx context.Context, every, limit time.Duration, what string, try func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s until %s; last: %w", limit, what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}
