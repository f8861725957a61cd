package component

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"k8s.io/component-base/version"
)

func TestVersionIsTheModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatalf("ask for the module's version: %v", err)
	}
	if want := strings.TrimSpace(string(out)); Version() != want {
		t.Errorf("kubernetesVersion is %s and go.mod has %s: set it in version.go", Version(), want)
	}
	if err := ReportVersion(); err != nil {
		t.Fatal(err)
	}
	if got := version.Get().GitVersion; got != Version() {
		t.Errorf("Kubernetes reports %s, want %s", got, Version())
	}
}

func TestComponentEndsWhenItsParentIsGone(t *testing.T) {
	parent, end := io.Pipe()
	code := make(chan int, 1)
	go endWithParent(parent, func(c int) { code <- c })
	if _, err := end.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-code:
		t.Fatal("it ended while its parent was there")
	default:
	}
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	if c := <-code; c == 0 {
		t.Error("it ended with code 0, as if all were well")
	}
}

func TestUnknownComponent(t *testing.T) {
	if code := run("kubelet", nil); code != 2 {
		t.Errorf("got exit code %d, want 2", code)
	}
}
