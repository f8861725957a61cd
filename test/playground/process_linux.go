package playground

import "syscall"

// endWithParent lets the kernel interrupt the playground when the tests are killed.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
}
