// Package arch checks the walls of the house: who may import whom, also through others. The table is in rooms_test.go, and
// printed into CONTRIBUTING.md.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-dev/sluice/"

var update = flag.Bool("update", false, "write the table into CONTRIBUTING.md")

type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// fits says whether a package is one of those that a path stands for.
func fits(path, name string) bool {
	below, tree := strings.CutSuffix(path, "*")
	return path == name || path == "*" || tree && strings.HasPrefix(name, below)
}

// roomOf is the row of a package.
func roomOf(name string) *room {
	var found *room
	for i := range rooms {
		if fits(rooms[i].path, name) && (found == nil || len(rooms[i].path) > len(found.path)) {
			found = &rooms[i]
		}
	}
	return found
}

func TestRooms(t *testing.T) {
	used := map[string]bool{}
	for _, p := range list(t) {
		r := roomOf(p.name())
		if r == nil {
			t.Errorf("%s is in no room: add a row to rooms_test.go", p.name())
			continue
		}
		used[r.path] = true
		for _, d := range p.Imports {
			ours, is := strings.CutPrefix(d, module)
			if is && !slices.ContainsFunc(r.ours, func(path string) bool { return fits(path, ours) }) {
				t.Errorf("%s must not import %s: the room %s may import %s", p.name(), ours, r.path, printed(r.ours))
			}
			if slices.Contains(r.world.direct, d) {
				t.Errorf("%s must not import %s: of the world outside it may reach %s", p.name(), d, r.world.says)
			}
		}
		for _, d := range p.Deps {
			if reaches(d, r.world.never) {
				t.Errorf("%s must not reach %s, not through others either: of the world outside it may reach %s", p.name(), d, r.world.says)
			}
		}
	}
	for _, r := range rooms {
		if !used[r.path] {
			t.Errorf("no package is in room %s: remove the row", r.path)
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

const page, begins, ends = "../../CONTRIBUTING.md", "<!-- rooms -->\n", "<!-- end of rooms -->"

// TestTableIsPrinted: CONTRIBUTING.md shows the table as it is checked.
func TestTableIsPrinted(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begins)
	was, after, ended := strings.Cut(rest, ends)
	if !found || !ended {
		t.Fatalf("CONTRIBUTING.md has no table between %s and %s", begins, ends)
	}
	var b strings.Builder
	b.WriteString("| room | may import of ours | may reach of the world outside, also through others |\n|---|---|---|\n")
	for _, r := range rooms {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.path, printed(r.ours), r.world.says)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begins+b.String()+ends+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if was != b.String() {
		t.Error("CONTRIBUTING.md shows another table: go test ./internal/arch -update")
	}
}

func printed(paths []string) string {
	switch {
	case len(paths) == 0:
		return "nothing"
	case paths[0] == "*":
		return "everything"
	}
	return "`" + strings.Join(paths, "`, `") + "`"
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
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Deps", "./...")
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
