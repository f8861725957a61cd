package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commandVariable turns the test binary into sluice-playground.
const commandVariable = "SLUICE_PLAYGROUND_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), commandVariable+"=1")
	return c
}

func TestUpRefusesBeforeItStartsAnything(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	foreign := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(foreign, []byte("apiVersion: v1\nkind: Config\nclusters: [{name: production, cluster: {server: https://x}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := upFlags{dir: filepath.Join(t.TempDir(), "dir"), gatewayAddr: "127.0.0.1:0", gatewayAdmin: "127.0.0.1:0", nodes: 1, scrapeInterval: time.Second}
	for name, test := range map[string]struct {
		change func(*upFlags)
		want   []string
	}{
		"no directory":                 {func(f *upFlags) { f.dir = "" }, []string{"--dir", "--ephemeral"}},
		"no nodes":                     {func(f *upFlags) { f.nodes = 0 }, []string{"--nodes", "at least 1"}},
		"gateway is taken":             {func(f *upFlags) { f.gatewayAddr = taken.Addr().String() }, []string{"--gateway", taken.Addr().String(), "127.0.0.1:0"}},
		"metrics are taken":            {func(f *upFlags) { f.gatewayAdmin = taken.Addr().String() }, []string{"--gateway-admin", taken.Addr().String()}},
		"Prometheus' address is taken": {func(f *upFlags) { f.prometheus = taken.Addr().String() }, []string{"--prometheus", taken.Addr().String()}},
		"no pause between scrapes":     {func(f *upFlags) { f.scrapeInterval = 0 }, []string{"--scrape-interval", "at least 100ms"}},
		"kubeconfig of work":           {func(f *upFlags) { f.kubeconfig = foreign }, []string{"--kubeconfig", foreign, "production"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := good
			test.change(&f)
			err := up(t.Context(), f, io.Discard, io.Discard)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %q", err, part)
				}
			}
		})
	}
	if _, err := os.Stat(good.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made all the same (%v)", err)
	}
}

func TestNodeNames(t *testing.T) {
	want := []string{"playground-1", "playground-2"}
	if diff := cmp.Diff(want, upFlags{nodes: 2}.nodeNames()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVersion(t *testing.T) {
	out, err := command("version").Output()
	if err != nil || !strings.Contains(string(out), "kubernetes v1.") {
		t.Errorf("got %q, %v", out, err)
	}
}

// From nothing to an answered request, with the binary alone: its kubectl applies a Deployment, a
// Service and an Ingress, and the gateway answers. Then the signal ends it all, the directory too.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a playground: not with -short")
	}
	p := startUp(t)
	runKubectl(t, p.kubeconfig, "apply", "-f", "testdata/shop.yaml")
	runKubectl(t, p.kubeconfig, "rollout", "status", "deployment/shop", "--timeout=30s")
	p.await(t, "an answer of the gateway", func() error { return ask(p.gateway) })
	if logs := runKubectl(t, p.kubeconfig, "logs", "deployment/shop"); logs == "" {
		t.Error("kubectl logs shows nothing")
	}
	checkUser(t, p.dir)
	p.interrupt(t)
	if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there (%v)", err)
	}
}

// running is a playground that a test has started.
type running struct {
	dir, kubeconfig, gateway, prometheus string

	process    *os.Process
	ended      chan error
	complaints strings.Builder
	answered   atomic.Int64 // requests that a pod has answered
}

// startUp starts an ephemeral playground with the test's flags and returns when it is ready.
func startUp(t *testing.T, flags ...string) *running {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a playground: not with -short")
	}
	dir := filepath.Join(t.TempDir(), "dir")
	p := &running{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), ended: make(chan error, 1)}
	c := command(append([]string{"up", "--ephemeral", "--dir", dir, "--gateway", "127.0.0.1:0"}, flags...)...)
	c.Stderr = &p.complaints
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = c.Process
	t.Cleanup(func() { _ = p.process.Kill() })
	p.read(t, out)
	go func() { p.ended <- c.Wait() }()
	return p
}

// read takes what the playground says when it is ready. If it ends before, so does its output.
func (p *running) read(t *testing.T, out io.Reader) {
	t.Helper()
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) > 1 && fields[0] == "gateway":
			p.gateway = strings.TrimPrefix(fields[1], "http://")
		case len(fields) > 1 && fields[0] == "prometheus":
			p.prometheus = strings.TrimPrefix(fields[1], "http://")
		case len(fields) > 0 && fields[0] == "Ctrl-C":
			return
		}
	}
	t.Fatalf("the playground did not get ready; it said:\n%s\n%s", strings.Join(said, "\n"), p.complaints.String())
}

// interrupt ends the playground as Ctrl-C does.
func (p *running) interrupt(t *testing.T) {
	t.Helper()
	if err := p.process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended; err != nil {
		t.Errorf("after the signal: %v; it said:\n%s", err, p.complaints.String())
	}
}

func checkUser(t *testing.T, dir string) {
	t.Helper()
	data, err := command("user", "alice", "--group", "sre", "--dir", dir).Output()
	if err != nil {
		t.Fatalf("user: %v", err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "alice")
	if err := os.WriteFile(kubeconfig, data, 0o600); err != nil {
		t.Fatal(err)
	}
	who := runKubectl(t, kubeconfig, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
	if want := `alice ["sre","system:authenticated"]`; who != want {
		t.Errorf("got user %s, want %s", who, want)
	}
}

func ask(gateway string) error {
	request, err := http.NewRequest(http.MethodGet, "http://"+gateway+"/color", nil)
	if err != nil {
		return err
	}
	request.Host = "shop.demo"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(body)); got != `"blue"` {
		return fmt.Errorf("got %d %s", response.StatusCode, got)
	}
	return nil
}

func runKubectl(t *testing.T, kubeconfig string, args ...string) string {
	t.Helper()
	c := command(append([]string{"kubectl", "--kubeconfig", kubeconfig}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// await asks until there is no error, for as long as the playground lives and at most a minute.
func (p *running) await(t *testing.T, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case endErr := <-p.ended:
			t.Fatalf("wait for %s: the playground ended: %v", what, endErr)
		case <-ctx.Done():
			t.Fatalf("wait for %s: %v", what, err)
		}
	}
}
