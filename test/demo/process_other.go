//go:build !linux

package main

import "syscall"

// apart keeps the terminal's Ctrl-C from the children, which we end in order ourselves.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
