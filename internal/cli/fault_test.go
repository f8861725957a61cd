package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/view"
)

// hostile is what a comment, an image's name or a message may be: a forged line, what clears a line, what rings, what turns
// the direction of writing, what has no width, and a control character of the upper half.
const hostile = "x\nshop-1: Healthy: forged\r\x1b[2K\x1b]0;t\a\u202e\u200b\u2028\u0085\x7f"

// spoil puts hostile text behind every text of an object that people write: all but names, times and words of the API.
func spoil(v any, path string) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = spoil(v[k], path+"."+k)
		}
	case []any:
		for i := range v {
			v[i] = spoil(v[i], path)
		}
	case string:
		last := path[strings.LastIndex(path, ".")+1:]
		kept := []string{
			"apiVersion", "kind", "name", "namespace", "phase", "rollout", "currentRelease", "reason", "at", "since", "until", "type", "status",
			"hash", "podTemplateHash", "onFailure", "onAbort", "cause", "step", "release", "verb", "uid", "controller", "duration", "planDigest",
		}
		timed := strings.HasSuffix(last, "At") || strings.HasSuffix(last, "Time") || strings.HasSuffix(last, "Timestamp") || strings.HasSuffix(last, "Deadline") || last == "drainDelay"
		if slices.Contains(kept, last) || timed || strings.Contains(path, "labels") || strings.Contains(path, "atchLabels") || strings.Contains(path, "elector") {
			return v
		}
		return v + hostile
	}
	return v
}

// TestFaultA9Terminal: whatever stands in the objects, no command writes a character that moves, colours, hides or turns
// what else is on the terminal, and no line that seems to be Sluice's.
func TestFaultA9Terminal(t *testing.T) {
	commands := [][]string{
		{"get", "shop"},
		{"get", "shop", "-o", "wide"},
		{"get", "shop-1"},
		{"list"},
		{"list", "-A", "-o", "wide"},
		{"history", "shop"},
		{"history", "shop", "--release", "1"},
		{"pending", "--everybody"},
		{"status", "shop"},
		{"status", "shop-1"},
		{"plan", "shop"},
		{"promote", "shop"},
		{"abort", "shop"},
		{"approve", "shop"},
		{"retry", "shop"},
		{"rollback", "shop"},
		{"rollback", "shop", "--to", "1"},
		{"start", "shop", "--image", "web=" + hostile},
		{"get", "no" + hostile},
		{"get", "shop", "--release" + hostile},
		{"get", "shop", "-w"},
	}
	tried := 0
	for _, file := range []string{"paused.yaml", "approval.yaml", "aborted.yaml", "aborting.yaml", "completing.yaml", "stalled.yaml", "idle.yaml"} {
		a := startAPI(t)
		for _, f := range []string{"workload.yaml", file} {
			for _, doc := range documents(t, f) {
				spoil(doc.Object, "")
				raw, err := json.Marshal(doc.Object)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.load(raw); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, args := range commands {
			out := &bytes.Buffer{}
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			o := testOptions(append([]string{"sluice"}, args...))
			o.Out, o.Err = out, out
			if slices.Contains([]string{"promote", "abort", "approve", "retry", "rollback"}, args[0]) {
				o.Args = append(o.Args, "--timeout", "50ms", "-m", hostile)
			}
			Run(ctx, o)
			cancel()
			if strings.Contains(out.String(), "forged") {
				tried++
			}
			harmless(t, file+" "+strings.Join(args, " "), out.String())
		}
	}
	if tried < 40 {
		t.Errorf("only %d commands showed hostile text: the test has tried too little", tried)
	}
}

func harmless(t *testing.T, what, out string) {
	t.Helper()
	for _, r := range out {
		if r != '\n' && !unicode.IsGraphic(r) {
			t.Errorf("%s writes %q:\n%q", what, r, out)
			return
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "shop-1: Healthy: forged") {
			t.Errorf("%s writes a line of others:\n%s", what, out)
		}
	}
}

func documents(t *testing.T, file string) []unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "objects", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []unstructured.Unstructured
	for _, doc := range strings.Split("\n"+string(data), "\n---") {
		u := unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// TestFaultA9Safe: what a text becomes.
func TestFaultA9Safe(t *testing.T) {
	for in, want := range map[string]string{
		"shop:v2 – 界 é 🙂": "shop:v2 – 界 é 🙂", "a\nb": `a\nb`, "\x1b[2K": `\x1b[2K`, "\xff\xfe": `\xff\xfe`, "a\u202eb": `a\u202eb`, "\u0085": `\x85`, "": "",
	} {
		if got := safe(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := (painter{on: true}).in(red, "\x1b[1m"); got != "\x1b[31m\\x1b[1m\x1b[0m" {
		t.Errorf("painted: %q", got)
	}
}

// TestFaultB19StepsOfAFinishedRelease: taken, skipped and untaken steps differ, and steps that the next release has
// otherwise are marked.
func TestFaultB19StepsOfAFinishedRelease(t *testing.T) {
	step := func(name string, weight int32) v1alpha1.CanaryStep {
		return v1alpha1.CanaryStep{Name: name, Weight: &weight}
	}
	plan := []v1alpha1.CanaryStep{step("step-1", 20), step("step-2", 50), step("step-3", 70)}
	for name, tt := range map[string]struct {
		phase  v1alpha1.ReleasePhase
		memory v1alpha1.ReleaseMemory
		next   []v1alpha1.CanaryStep
		want   []string
	}{
		"all taken": {v1alpha1.ReleaseSucceeded, v1alpha1.ReleaseMemory{Step: 2, Reached: 3}, plan, []string{"✔ 1 step-1 20%", "✔ 2 step-2 50%", "✔ 3 step-3 70%", "✔ complete"}},
		"promoted past two": {
			v1alpha1.ReleaseSucceeded,
			v1alpha1.ReleaseMemory{Full: true, Reached: 1},
			plan,
			[]string{"✔ 1 step-1 20%", "» 2 step-2 50% skipped", "» 3 step-3 70% skipped", "✔ complete"},
		},
		"promoted before the first was in force": {
			v1alpha1.ReleaseSucceeded,
			v1alpha1.ReleaseMemory{Full: true},
			plan,
			[]string{"» 1 step-1 20% skipped", "» 2 step-2 50% skipped", "» 3 step-3 70% skipped", "✔ complete"},
		},
		"aborted": {
			v1alpha1.ReleaseAborted,
			v1alpha1.ReleaseMemory{Step: 1, Reached: 1},
			plan,
			[]string{"✔ 1 step-1 20%", "✘ 2 step-2 50%", "○ 3 step-3 70%", "○ complete"},
		},
		"the Rollout's steps were changed since": {
			v1alpha1.ReleaseSucceeded,
			v1alpha1.ReleaseMemory{Step: 2, Reached: 3},
			[]v1alpha1.CanaryStep{step("step-1", 10), step("step-2", 50)},
			[]string{"✔ 1 step-1 20% in the next release: step-1 10%", "✔ 2 step-2 50%", "✔ 3 step-3 70% not in the next release", "✔ complete"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rel := &v1alpha1.Release{}
			rel.Name, rel.Spec.Plan.Steps = "shop-1", plan
			rel.Status.Phase, rel.Status.Memory = tt.phase, &tt.memory
			ro := &v1alpha1.Rollout{}
			ro.Spec.Canary.Steps = tt.next
			var b strings.Builder
			o := view.Objects{Subject: view.Subject{Rollout: ro, Release: rel}}
			tree{picture: view.Of(o)}.showSteps(&b)
			var got []string
			for _, line := range strings.Split(strings.TrimSpace(b.String()), "\n")[1:] {
				got = append(got, strings.TrimSpace(strings.Join(strings.Fields(strings.TrimSuffix(line, "the workload takes the new revision over")), " ")))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
