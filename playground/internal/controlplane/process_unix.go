//go:build unix

package controlplane

import (
	"errors"
	"os"
	"syscall"
)

// ownGroup keeps a terminal's Ctrl-C from the children: the playground ends them in the right order.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// tryLock takes the lock on f, and reports false if another process holds it. The children inherit
// the open file, so that it stays locked until the last of them is gone.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func processLives(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
