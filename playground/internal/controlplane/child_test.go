package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTailIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	var log strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&log, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(tail(path), "\n")
	if len(got) != tailLines || got[tailLines-1] != "  line 9999" {
		t.Errorf("got %d lines, the last %q", len(got), got[len(got)-1])
	}
	if got := tail(path + ".none"); !strings.Contains(got, "unreadable") {
		t.Errorf("no file: got %q", got)
	}
}

// A component that dies while the others start must not be waited for, and nothing may stay behind.
func TestStartNamesTheComponentThatDies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	_, err := Start(context.Background(), Options{
		Dir: dir, ExtraArgs: map[string][]string{etcdName: {"--no-such-flag"}},
	})
	var died *ChildError
	if !errors.As(err, &died) {
		t.Fatalf("got error %v, want a ChildError", err)
	}
	if died.Name != etcdName || !strings.Contains(died.Tail, "no-such-flag") || !strings.Contains(err.Error(), died.Log) {
		t.Errorf("got %+v, want etcd, its log and its complaint", died)
	}
	if _, err := os.Stat(died.Log); err != nil {
		t.Errorf("the log is gone: %v", err)
	}
	mustOpen(t, dir, false) // the lock is held for as long as any component lives
}

// The lock is inherited by every component, so it is free only when all of them are gone.
func TestComponentsEndWithAKilledParent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "started\n" {
		_ = parent.Process.Kill()
		t.Fatalf("parent said %q, %v", line, err)
	}
	if _, err := openDirectory(dir, false, thisVersion); !errors.Is(err, ErrInUse) {
		t.Errorf("while it runs: got error %v, want %v", err, ErrInUse)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	mustOpen(t, dir, false)
}
