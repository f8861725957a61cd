package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// The user that the admission policies know as Sluice.
var asSluice = []string{
	"--as", "system:serviceaccount:sluice-system:sluice",
	"--as-group", "system:serviceaccounts", "--as-group", "system:serviceaccounts:sluice-system", "--as-group", "system:authenticated",
}

// process is a running controller.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
	log    *tail
}

// startController runs `sluice controller` as a child, as Sluice's own user unless args name another. Also gets all that
// it says, if it is not nil.
func startController(kubeconfig string, also io.Writer, args ...string) (*process, error) {
	return startControllerWith(kubeconfig, also, nil, append(append([]string{}, asSluice...), args...)...)
}

func startControllerWith(kubeconfig string, also io.Writer, env []string, args ...string) (*process, error) {
	all := append([]string{
		"--kubeconfig", kubeconfig, "controller", "--metrics-bind-address", "0", "--health-probe-bind-address", "0",
	}, args...)
	p := &process{cmd: command(context.Background(), "sluice", all...), exited: make(chan struct{}), log: &tail{}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if also != nil {
		p.cmd.Stderr = io.MultiWriter(p.log, also)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start controller: %w", err)
	}
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// whenVerbose is where people see what a controller says, if they want to.
func whenVerbose() io.Writer {
	if os.Getenv("SLUICE_E2E_VERBOSE") == "" {
		return nil
	}
	return os.Stderr
}

// kill ends it as a power failure would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// stop ends it in order.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.kill()
	}
}

// tail keeps the end of what a process says, and the first of its panics: controller-runtime recovers them, so that
// nobody else would see.
type tail struct {
	mu    sync.Mutex
	data  []byte
	panic string
}

const tailLength = 64 << 10

// panics are how controller-runtime and we tell of one that was survived, and Go of one that was not.
var panics = regexp.MustCompile(`Observed a panic|(?m)^panic: `)

func (b *tail) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, data...)
	if recent := b.data[max(0, len(b.data)-len(data)-64):]; b.panic == "" && panics.Match(recent) {
		b.panic = string(recent)
	}
	if over := len(b.data) - tailLength; over > 0 {
		b.data = b.data[over:]
	}
	return len(data), nil
}

// panicked is what it said when it first panicked, empty if it has not.
func (b *tail) panicked() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.panic
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}
