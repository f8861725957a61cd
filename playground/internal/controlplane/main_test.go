package controlplane

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

var update = flag.Bool("update", false, "copy the CRDs from the Gateway API module again")

// parentVariable turns the test binary into a playground that starts etcd in the directory named and
// then does nothing, for the test that kills it.
const parentVariable = "CONTROLPLANE_TEST_PARENT"

func TestMain(m *testing.M) {
	component.Main()
	if dir := os.Getenv(parentVariable); dir != "" {
		os.Exit(idleParent(dir))
	}
	flag.Parse()
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop shared control plane:", err)
		code = 1
	}
	os.Exit(code)
}

func idleParent(dir string) int {
	o, err := Options{Dir: dir}.complete()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	p, err := prepare(o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cp := &ControlPlane{plan: p, stopping: make(chan struct{}), failed: make(chan struct{})}
	if err := cp.launch(etcdName); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("started")
	_ = cp.Wait(context.Background())
	return 1
}

// shared is the one control plane that all tests use which do not need one of their own.
var shared sharedControlPlane

type sharedControlPlane struct {
	once  sync.Once
	root  string
	cp    *ControlPlane
	audit string
	err   error
}

func (s *sharedControlPlane) get(t *testing.T) *ControlPlane {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a control plane: not with -short")
	}
	s.once.Do(func() { s.err = s.start() })
	if s.err != nil {
		t.Fatalf("start shared control plane: %v", s.err)
	}
	return s.cp
}

func (s *sharedControlPlane) start() (err error) {
	if s.root, err = os.MkdirTemp("", "controlplane-test-"); err != nil {
		return err
	}
	s.audit = filepath.Join(s.root, "audit.log")
	s.cp, err = Start(context.Background(), Options{
		Dir: filepath.Join(s.root, "dir"), Ephemeral: true, AuditLog: s.audit,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return err
}

func (s *sharedControlPlane) stop() error {
	if s.cp == nil {
		return os.RemoveAll(s.root)
	}
	dir := s.cp.Dir()
	if err := s.cp.Stop(); err != nil {
		return err
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		return fmt.Errorf("the ephemeral directory %s is still there after the end (%w)", dir, err)
	}
	return os.RemoveAll(s.root)
}
