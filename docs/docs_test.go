// Package docs holds the pages to what the code says.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/internal/cli/lint"
)

// pages are all that a user or contributor reads, by path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "examples/*/*.md", "playground/*.md"} {
		files, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(f, "../")] = string(raw)
		}
	}
	for _, must := range []string{"README.md", "CONTRIBUTING.md", "docs/concepts.md", "docs/rollout.md", "docs/operations.md", "docs/troubleshooting.md"} {
		if out[must] == "" {
			t.Fatalf("%s is missing", must)
		}
	}
	return out
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	found := 0
	for page, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			found++
			file := filepath.Join("..", filepath.Dir(page), target)
			if target == "" {
				file = filepath.Join("..", page)
			}
			raw, err := os.ReadFile(file)
			if info, e := os.Stat(file); e == nil && info.IsDir() && anchor == "" {
				continue
			}
			if err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			} else if anchor != "" && !anchors(string(raw))[anchor] {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links found: the pages are not read as they should be", found)
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notWord = regexp.MustCompile("[^a-z0-9 _-]")
)

func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		out[strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return out
}

// TestReasons: whatever can stand in a status has a row that says what to do.
func TestReasons(t *testing.T) {
	page := pages(t)["docs/troubleshooting.md"]
	codes := 0
	for _, dir := range []string{"../internal/release", "../internal/controller/rollout"} {
		for name, value := range constants(t, dir) {
			if !strings.HasPrefix(name, "Reason") && !strings.HasPrefix(name, "Refused") {
				continue
			}
			codes++
			if !regexp.MustCompile(`(?m)^\|.*` + "`" + value + "`" + `.*\|$`).MatchString(page) {
				t.Errorf("docs/troubleshooting.md has no row for %s (%s in %s)", value, name, dir)
			}
		}
	}
	if codes < 40 {
		t.Errorf("only %d reason codes found", codes)
	}
}

// constants are the string constants of a package, by name.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING && i < len(spec.Names) {
					if out[spec.Names[i].Name], err = strconv.Unquote(literal.Value); err != nil {
						t.Fatal(err)
					}
				}
			}
			return true
		})
	}
	return out
}

// TestPhases: each phase, condition and end of the API is explained.
func TestPhases(t *testing.T) {
	page := pages(t)["docs/rollout.md"]
	all := constants(t, "../api/v1alpha1")
	for name, value := range constants(t, "../internal/release") {
		all[name] = value
	}
	found := 0
	for name, value := range all {
		switch {
		case strings.HasPrefix(name, "Rollout"), strings.HasPrefix(name, "Release"), strings.HasPrefix(name, "Condition"), endReasons[name]:
			found++
			if !strings.Contains(page, "`"+value+"`") {
				t.Errorf("docs/rollout.md does not explain %s (%s)", value, name)
			}
		}
	}
	if found < 25 {
		t.Errorf("only %d phases, conditions and ends found", found)
	}
}

var endReasons = map[string]bool{
	"AbortedByUser": true, "StepFailed": true, "DeadlinePassed": true, "NewerRevision": true, "PlanChanged": true,
	"BackToStable": true, "RolloutRemoved": true, "WorkloadRemoved": true,
}

var block = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestExamples: every Rollout in the pages and in examples/ is one that the API server and Sluice take.
func TestExamples(t *testing.T) {
	var report lint.Report
	add := func(name, text string) {
		if err := report.Add(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for page, text := range pages(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "\nkind: Rollout") {
				add(page, m[1])
			}
		}
	}
	inPages := len(report.Rollouts)
	files, err := filepath.Glob("../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		add(f, string(raw))
	}
	for _, p := range report.Problems {
		t.Error(p)
	}
	if inPages < 3 || len(report.Rollouts) < inPages+3 {
		t.Errorf("%d Rollouts found in the pages and %d in all", inPages, len(report.Rollouts))
	}
}

var path = regexp.MustCompile("`((?:api|cmd|deploy|docs|examples|internal|playground|test)/[A-Za-z0-9_./-]*)`")

// TestPaths: what the pages name is there.
func TestPaths(t *testing.T) {
	found := 0
	for page, text := range pages(t) {
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if page == "playground/README.md" || strings.Contains(m[1], "NAME") {
				continue // That page speaks of its own directory.
			}
			found++
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d paths found", found)
	}
}

// TestThreatModel: each test that docs/threat-model.md calls a proof exists.
func TestThreatModel(t *testing.T) {
	_, table, found := strings.Cut(pages(t)["docs/threat-model.md"], "<!-- tests -->")
	table, _, ended := strings.Cut(table, "<!-- end of tests -->")
	if !found || !ended {
		t.Fatal("docs/threat-model.md has no table of tests")
	}
	there := testNames(t)
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || strings.HasPrefix(cells[1], "---") || strings.Contains(cells[1], "boundary") {
			continue
		}
		rows++
		named := testName.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			t.Errorf("no test tries%s", cells[1])
		}
		for _, m := range named {
			if !there[m[1]] {
				t.Errorf("%s is not there, which is to try%s", m[1], cells[1])
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d boundaries found", rows)
	}
}

var testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// testNames are the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	for _, dir := range []string{"../internal", "../deploy", "../test", "../api"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range declared.FindAllStringSubmatch(string(raw), -1) {
				out[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
