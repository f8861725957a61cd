package node

import "context"

// process is one run of a program. Its contexts stand for signals: terminated for
// SIGTERM, killed for SIGKILL.
type process struct {
	idle       bool // has no goroutine: it ends as soon as it is told to
	terminated context.Context
	terminate  context.CancelFunc
	killed     context.Context
	kill       context.CancelFunc
	done       chan struct{}
}

func newProcess() *process {
	p := &process{done: make(chan struct{})}
	p.killed, p.kill = context.WithCancel(context.Background())
	p.terminated, p.terminate = context.WithCancel(p.killed)
	return p
}

// finish says that the program has returned.
func (p *process) finish() {
	close(p.done)
	p.kill()
}
