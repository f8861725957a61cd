package traffictest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the transcripts instead of comparing")

// Run plays the transcripts in dir. Each is a txtar file whose sections are acts and what is seen after them:
//
//	backends.yaml  the workload's Services, if not shop and shop-canary
//	in.yaml        what the team has written: one object, or several. The Rollout names the first
//	split.yaml     a step: weight and match, as in a Rollout; it is checked, and applied if not refused
//	edit.yaml      what the team writes later, over what there is
//	live.yaml      what somebody makes of the team's objects by hand
//	team.yaml      what the team's own objects amount to, where that was an edit
//	beside.yaml    what somebody makes of an object that Sluice has made beside them
//	status.yaml    what the layer reports of the first of the team's objects
//	restore        everything is given back
//
//	refused.txt    the error of the last check
//	out.yaml       the objects that are not as the team wrote them
//	hold.yaml      the original in the Hold, or in each where the layer changes several objects
//	read.yaml      what the layer is read to do
func Run(t *testing.T, l Layer, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, l, archive)
			if *rewrite && !t.Failed() {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// stage is where a transcript has come to.
type stage struct {
	*cluster
	layer    Layer
	backends []traffic.Backend
	refused  error
	answered bool // the refusal was looked at
}

func play(t *testing.T, l Layer, archive *txtar.Archive) {
	t.Helper()
	shop := traffic.Twins("shop", "shop-canary")
	shop.Canary.Labels = map[string]string{"app": "shop", "pod-template-hash": "v2"}
	shop.Ports = []traffic.Port{{Name: "http", Number: 80}}
	s := &stage{layer: l, answered: true, backends: []traffic.Backend{shop}}
	for i := range archive.Files {
		file := &archive.Files[i]
		at := fmt.Sprintf("section %d, %s", i+1, file.Name)
		if s.act(t, at, file) {
			continue
		}
		seen, ok := s.see(file.Name)
		switch {
		case !ok:
			t.Fatalf("%s: there is no section of that name", at)
		case *rewrite:
			file.Data = []byte(seen)
		case seen != string(file.Data):
			t.Errorf("%s: (-want +have)\n%s", at, cmp.Diff(string(file.Data), seen))
		}
	}
	s.checkAnswered(t, "the end")
}

// act carries a section out, if it is one that does something.
func (s *stage) act(t *testing.T, at string, file *txtar.File) bool {
	t.Helper()
	switch file.Name {
	case "backends.yaml":
		var named []struct{ Stable, Canary string }
		decode(t, at, file.Data, &named)
		s.backends = nil
		for _, b := range named {
			s.backends = append(s.backends, traffic.Twins(b.Stable, b.Canary))
		}
	case "in.yaml":
		s.cluster = newCluster(s.layer, manifests(t, at, file.Data), s.backends)
	case "split.yaml":
		s.checkAnswered(t, at)
		s.split(t, at, file.Data)
	case "edit.yaml", "beside.yaml", "live.yaml", "team.yaml":
		for _, u := range manifests(t, at, file.Data) {
			s.actOn(file.Name, u)
		}
	case "status.yaml":
		s.live[s.first()].Object["status"] = manifest(t, at, file.Data).Object
	case "restore":
		s.restore(t)
	default:
		return false
	}
	return true
}

// actOn is what is done with one object.
func (s *stage) actOn(act string, u *unstructured.Unstructured) {
	switch act {
	case "edit.yaml":
		s.replace(u)
	case "beside.yaml":
		s.live[traffic.RefOf(u)] = u
	case "live.yaml":
		s.write(u)
	case "team.yaml":
		s.team[traffic.RefOf(u)] = s.stored(u)
	}
}

func (s *stage) checkAnswered(t *testing.T, at string) {
	t.Helper()
	if !s.answered {
		t.Fatalf("%s: before it, a split was refused: %v", at, s.refused)
	}
}

func (s *stage) split(t *testing.T, at string, data []byte) {
	t.Helper()
	var step step
	decode(t, at, data, &step)
	split := traffic.Split{Weight: step.Weight, Matches: step.matches()}
	s.refused = s.provider.Check(s.world(), []traffic.Split{split})
	s.answered = s.refused == nil
	if s.refused == nil {
		s.apply(t, split)
	}
}

// see is what there is to be seen of that name.
func (s *stage) see(name string) (string, bool) {
	switch name {
	case "refused.txt":
		s.answered = true
		return fmt.Sprintf("%v\n", s.refused), true
	case "out.yaml":
		return s.out(), true
	case "hold.yaml":
		return s.held(), true
	case "read.yaml":
		return document(shown(s.provider.Read(s.world()))), true
	}
	return "", false
}

func (s *stage) out() string {
	var documents []string
	for _, ref := range s.order {
		if have := teamsPart(s.live[ref]); !equal(have, teamsPart(s.team[ref])) {
			documents = append(documents, document(have))
		}
	}
	for _, o := range s.provider.Objects(s.world()) {
		if ours := s.live[o.Ref]; ours != nil && o.Part == traffic.Makes {
			documents = append(documents, document(ours.Object))
		}
	}
	if len(documents) == 0 {
		return "# all is as the team wrote it\n"
	}
	return strings.Join(documents, "---\n")
}

// held is what is recorded of the objects that the layer changes.
func (s *stage) held() string {
	var changed []traffic.Ref
	for _, o := range s.provider.Objects(s.world()) {
		if o.Name != "" && o.Part == traffic.Changes {
			changed = append(changed, o.Ref)
		}
	}
	if len(changed) == 1 {
		return document(s.holds[changed[0]].Original)
	}
	var documents []string
	for _, ref := range changed {
		if h, held := s.holds[ref]; held {
			documents = append(documents, fmt.Sprintf("# %s\n%s", ref, document(h.Original)))
		}
	}
	return strings.Join(documents, "---\n")
}

func document(v any) string {
	b, err := yaml.Marshal(v)
	if err != nil {
		panic(err) // JSON objects can be encoded
	}
	return string(b)
}

func decode(t *testing.T, at string, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
}

func manifest(t *testing.T, at string, data []byte) *unstructured.Unstructured {
	t.Helper()
	object := map[string]any{}
	decode(t, at, data, &object)
	return &unstructured.Unstructured{Object: throughJSON(object)}
}

// manifests are the objects of several documents.
func manifests(t *testing.T, at string, data []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, part := range strings.Split(string(data), "\n---\n") {
		out = append(out, manifest(t, at, []byte(part)))
	}
	return out
}

// step is one of a Rollout's, as far as it concerns a layer.
type step struct {
	Weight int     `json:"weight"`
	Match  []match `json:"match,omitempty"`
}

type match struct {
	Headers []pair `json:"headers,omitempty"`
	Cookies []pair `json:"cookies,omitempty"`
}

type pair struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	Regex string `json:"regex,omitempty"`
}

func (s step) matches() []release.Match {
	var out []release.Match
	for _, m := range s.Match {
		var r release.Match
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, release.HeaderMatch(h))
		}
		for _, c := range m.Cookies {
			r.Cookies = append(r.Cookies, release.CookieMatch{Name: c.Name, Value: c.Value})
		}
		out = append(out, r)
	}
	return out
}

// state is a traffic.State to look at.
type state struct {
	Routed   bool   `json:"routed"`
	Weight   int    `json:"weight"`
	Match    any    `json:"match,omitempty"`
	Accepted bool   `json:"accepted"`
	Problem  string `json:"problem,omitempty"`
}

func shown(s traffic.State) state {
	out := state{Routed: s.Routed, Weight: s.Weight, Accepted: s.Accepted, Problem: s.Problem}
	var matches []match
	for _, m := range s.Matches {
		var shown match
		for _, h := range m.Headers {
			shown.Headers = append(shown.Headers, pair(h))
		}
		for _, c := range m.Cookies {
			shown.Cookies = append(shown.Cookies, pair{Name: c.Name, Value: c.Value})
		}
		matches = append(matches, shown)
	}
	if len(matches) > 0 {
		out.Match = matches
	}
	return out
}
