package main

import "syscall"

// apart keeps the terminal's Ctrl-C from the children, which we end in order ourselves, and has the kernel end
// them when we are killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
}
