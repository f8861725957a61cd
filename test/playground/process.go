package playground

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// startTimeout bounds the start, on a machine that builds and tests other things beside it.
	startTimeout = 2 * time.Minute
	// stopTimeout is the time for an orderly end.
	stopTimeout = 30 * time.Second
)

// process is a running sluice-playground.
type process struct {
	kubeconfig string
	gateway    string
	prometheus string

	cmd    *exec.Cmd
	dir    string
	exited chan struct{}
	output lockedBuffer
}

// Where the gateway and Prometheus are, as the playground says.
var (
	gatewayLine    = regexp.MustCompile(`^\s*gateway\s+(http://\S+)`)
	prometheusLine = regexp.MustCompile(`^\s*prometheus\s+(http://\S+)`)
)

// lastLine is how the summary ends that the playground prints when all is ready.
const lastLine = "Ctrl-C ends it"

// launch starts a playground in a directory of its own and returns when it is ready.
func launch(binary string, flags ...string) (*process, error) {
	dir, err := os.MkdirTemp("", "sluice-test-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	p := &process{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), exited: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{
		"up", "--ephemeral", "--dir", p.cluster(),
		"--kubeconfig", p.kubeconfig, "--gateway", "127.0.0.1:0",
	}, flags...)...)
	p.cmd.Stderr = &p.output
	p.cmd.SysProcAttr = endWithParent()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start playground: %w", err)
	}
	ready := make(chan struct{})
	go p.run(out, ready)
	return p, p.wait(ready)
}

// cluster is the playground's own directory.
func (p *process) cluster() string { return filepath.Join(p.dir, "cluster") }

// run starts the playground, reads what it says and waits for its end. It keeps its thread: the playground ends
// when the thread ends that started it, and so when the tests are killed.
func (p *process) run(out io.Reader, ready chan<- struct{}) {
	runtime.LockOSThread()
	defer close(p.exited)
	if err := p.cmd.Start(); err != nil {
		fmt.Fprintln(&p.output, err)
		return
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(&p.output, line)
		if match := gatewayLine.FindStringSubmatch(line); match != nil {
			p.gateway = match[1]
		}
		if match := prometheusLine.FindStringSubmatch(line); match != nil {
			p.prometheus = match[1]
		}
		if strings.HasPrefix(line, lastLine) {
			close(ready)
		}
	}
	if err := p.cmd.Wait(); err != nil {
		fmt.Fprintln(&p.output, err)
	}
}

// wait returns when the playground is ready. When it does not get ready the error has all that it said.
func (p *process) wait(ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-p.exited:
		_ = os.RemoveAll(p.dir)
		return fmt.Errorf("the playground ended before it was ready:\n%s", p.output.String())
	case <-time.After(startTimeout):
		p.stop()
		return fmt.Errorf("the playground was not ready in %s:\n%s", startTimeout, p.output.String())
	}
}

// stop ends the playground as Ctrl-C does, and by force if it takes too long.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt) // an error means that it has ended
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	_ = os.RemoveAll(p.dir)
}

// lockedBuffer is written by the process's two outputs.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
