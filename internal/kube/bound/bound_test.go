package bound_test

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube/bound"
	"github.com/sluice-dev/sluice/internal/kube/bound/boundtest"
)

// A status of many large texts takes its time to be checked: some dozen of each kind are enough.
func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "25")
	os.Exit(m.Run())
}

// all are the kinds that have a status.
var all = map[string]func() any{
	"Rollout":     func() any { return &v1alpha1.Rollout{} },
	"Release":     func() any { return &v1alpha1.Release{} },
	"Decision":    func() any { return &v1alpha1.Decision{} },
	"AnalysisRun": func() any { return &v1alpha1.AnalysisRun{} },
	"Notifier":    func() any { return &v1alpha1.Notifier{} },
}

// TestFaultA8EveryStatus: whatever strings, lists, maps and numbers come into the status of any of the kinds, once cut it
// is one that the API server stores.
func TestFaultA8EveryStatus(t *testing.T) {
	cut := 0
	for kind, empty := range all {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				o := empty()
				fill(t, reflect.ValueOf(o).Elem().FieldByName("Status"), 0)
				if statusProblem(kind, o) != "" {
					cut++
				}
				bound.Status(o)
				if problem := statusProblem(kind, o); problem != "" {
					t.Fatalf("after the cut: %s", problem)
				}
				again := marshal(o)
				if bound.Status(o); marshal(o) != again {
					t.Fatal("a second cut changes it")
				}
			})
		})
	}
	if cut == 0 {
		t.Error("no status needed a cut: the test has tried nothing")
	}
}

// TestFaultA15ReleaseSpec: what comes from elsewhere into the spec of a Release is cut as well: the author's name, images,
// objects that both revisions share.
func TestFaultA15ReleaseSpec(t *testing.T) {
	rel := &v1alpha1.Release{}
	rel.Spec.Author = strings.Repeat("é", 1100)
	for range 100 {
		rel.Spec.Shared = append(rel.Spec.Shared, v1alpha1.SharedObject{Kind: "ConfigMap", Name: strings.Repeat("x", 300)})
		rel.Spec.To.Images = append(rel.Spec.To.Images, v1alpha1.ContainerImage{Container: strings.Repeat("c", 70), Image: strings.Repeat("i", 2000)})
	}
	bound.Spec(rel)
	if n := utf8.RuneCountInString(rel.Spec.Author); n != 1024 || len(rel.Spec.Shared) != 64 || len(rel.Spec.To.Images) != 1 {
		t.Errorf("author of %d characters, %d shared objects, %d images", n, len(rel.Spec.Shared), len(rel.Spec.To.Images))
	}
}

// statusProblem is what the API server would say of the status.
func statusProblem(kind string, o any) string {
	var u map[string]any
	if err := json.Unmarshal([]byte(marshal(o)), &u); err != nil {
		return err.Error()
	}
	err := boundtest.Check(kind, u)
	if err == nil {
		return ""
	}
	var said []string
	for _, line := range strings.Split(err.Error(), ", ") {
		if strings.Contains(line, "status") {
			said = append(said, line)
		}
	}
	return strings.Join(said, ", ")
}

func marshal(o any) string {
	raw, _ := json.Marshal(o)
	return string(raw)
}

// fill puts anything into a value: texts that are too long, of many bytes a character, or no text at all.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch o := v.Addr().Interface().(type) {
	case *metav1.Time:
		*o = metav1.NewTime(time.Unix(1e9, 0))
		return
	case *metav1.MicroTime:
		*o = metav1.NewMicroTime(time.Unix(1e9, 0))
		return
	case *metav1.Duration:
		o.Duration = time.Hour
		return
	case *metav1.Condition: // Reasons and types are words of our own; what is said is not.
		*o = metav1.Condition{Type: rapid.SampledFrom([]string{"Ready", "Stalled"}).Draw(t, "type"), Status: metav1.ConditionTrue, Reason: "Reason", LastTransitionTime: metav1.NewTime(time.Unix(1e9, 0))}
		fill(t, reflect.ValueOf(&o.Message).Elem(), depth)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth+1)
		}
	case reflect.String:
		if words := known[v.Type()]; words != nil {
			v.SetString(rapid.SampledFrom(words).Draw(t, "word"))
			return
		}
		piece := rapid.SampledFrom([]string{"a", "é", "\x1b[2K", "\xff", "\n", "界", "🙂"}).Draw(t, "piece")
		v.SetString(strings.Repeat(piece, rapid.SampledFrom([]int{1, 70, 300, 1100}).Draw(t, "length")))
	case reflect.Slice:
		n := rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "items")
		if depth < 4 {
			n = rapid.SampledFrom([]int{0, 1, 3, 110}).Draw(t, "items")
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i), depth+1)
			if i == 3 { // Enough of different ones: the rest are the same.
				for j := 4; j < n; j++ {
					v.Index(j).Set(v.Index(i))
				}
				break
			}
		}
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(rapid.Int64Range(-5, 200).Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	default:
	}
}

// known are the words of the types that have some.
var known = map[reflect.Type][]string{
	reflect.TypeFor[v1alpha1.ReleasePhase]():    {"Paused", "Aborting", "Succeeded"},
	reflect.TypeFor[v1alpha1.RolloutPhase]():    {"Paused", "Stalled"},
	reflect.TypeFor[v1alpha1.AnalysisPhase]():   {"Running", "Failed"},
	reflect.TypeFor[v1alpha1.DecisionOutcome](): {"Applied", "Refused"},
}
