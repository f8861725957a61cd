// Package arch checks the walls of the house: who may import whom, also through others. The linter sees direct
// imports only.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-dev/sluice/"

// wall says what a room must not reach, however indirectly. Names ending in "/" are whole trees.
type wall struct {
	room  string
	never []string
}

var walls = []wall{
	{"internal/release", []string{"k8s.io/", "sigs.k8s.io/", "net/http", "os/exec", module + "api/", module + "internal/"}},
	{"internal/analysis", []string{"k8s.io/", "sigs.k8s.io/", "net/http", "os/exec", module + "api/", module + "internal/"}},
	{"internal/podtemplate", []string{"k8s.io/", "sigs.k8s.io/", "net/http", "os/exec", module + "api/", module + "internal/"}},
	{"internal/metric/", []string{"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/rest", "k8s.io/client-go/kubernetes/", module + "internal/kube", module + "internal/controller"}},
	{"internal/notify/", []string{"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/rest", "k8s.io/client-go/kubernetes/", module + "internal/kube", module + "internal/controller"}},
	{"internal/window", []string{"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/", module + "internal/kube", module + "internal/controller"}},
	{"internal/traffic/", []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/", module + "internal/kube", module + "internal/controller"}},
	{"internal/workload/", []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/", module + "internal/kube", module + "internal/controller"}},
	{"internal/measure", []string{"sigs.k8s.io/controller-runtime/", module + "internal/kube", module + "internal/controller", module + "internal/release"}},
	{"internal/translate", []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/", module + "internal/kube"}},
	{"internal/kube", []string{module + "internal/release", module + "internal/traffic", module + "internal/workload", module + "internal/controller"}},
	{"internal/naming", []string{"k8s.io/", "sigs.k8s.io/", "net/http", "os/exec", module + "api/", module + "internal/"}},
	{"internal/beside", []string{"k8s.io/", "sigs.k8s.io/", "net/http", "os/exec", module + "api/", module + "internal/"}},
	{"internal/kube/clock", []string{"k8s.io/", "sigs.k8s.io/", "os/exec", module + "api/", module + "internal/"}},
	{"internal/controller", []string{module + "internal/cli"}},
	{"internal/cli", []string{module + "internal/controller"}},
	{"api/", []string{"k8s.io/client-go/", "k8s.io/api/", "sigs.k8s.io/controller-runtime/", module + "internal/"}},
	{"cmd/", []string{module + "playground/"}},
}

type pkg struct {
	ImportPath string
	Deps       []string
}

func TestWalls(t *testing.T) {
	packages := list(t)
	for _, w := range walls {
		found := false
		for _, p := range packages {
			room := strings.TrimPrefix(p.ImportPath, module)
			if room != w.room && !strings.HasPrefix(room, strings.TrimSuffix(w.room, "/")+"/") {
				continue
			}
			found = true
			for _, d := range p.Deps {
				if reaches(d, w.never) && !strings.HasPrefix(d, module+strings.TrimSuffix(w.room, "/")) {
					t.Errorf("%s must not reach %s, not through others either", room, d)
				}
			}
		}
		if !found {
			t.Errorf("no package in room %s: mend the table", w.room)
		}
	}
}

// The adapters of one kind stand beside each other and know nothing of each other.
func TestAdaptersDoNotMeet(t *testing.T) {
	for _, p := range list(t) {
		kind, name, ok := adapter(p.ImportPath)
		if !ok {
			continue
		}
		for _, d := range p.Deps {
			if k, n, ok := adapter(d); ok && k == kind && n != name {
				t.Errorf("%s must not reach its neighbour %s", p.ImportPath, d)
			}
		}
	}
}

func adapter(path string) (kind, name string, ok bool) {
	rest, ours := strings.CutPrefix(path, module+"internal/")
	parts := strings.Split(rest, "/")
	if !ours || len(parts) < 2 || strings.HasSuffix(parts[1], "test") || !slices.Contains([]string{"traffic", "workload", "metric", "notify"}, parts[0]) {
		return "", "", false
	}
	return parts[0], parts[1], true
}

func reaches(dep string, never []string) bool {
	for _, n := range never {
		if dep == n || strings.HasSuffix(n, "/") && strings.HasPrefix(dep, n) {
			return true
		}
	}
	return false
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Deps", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module) {
			all = append(all, p)
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}
