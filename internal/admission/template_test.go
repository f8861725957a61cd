package admission_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestTemplateAuthorReads: wherever a measurement can name a Secret, the author must be allowed to read it. The places
// are those of the Go types, so that none can be forgotten.
func TestTemplateAuthorReads(t *testing.T) {
	w := newAuthors(t)
	for kind, spec := range map[string]reflect.Type{
		"AnalysisTemplate":        reflect.TypeFor[v1alpha1.AnalysisTemplateSpec](),
		"ClusterAnalysisTemplate": reflect.TypeFor[v1alpha1.AnalysisTemplateSpec](),
	} {
		author, home := "ann", w.namespace+"/"
		if kind == "ClusterAnalysisTemplate" {
			author, home = w.carl, ""
		}
		for _, p := range places(spec) {
			where := "spec." + p.String()
			if strings.Contains(where, ".job.") {
				continue // Kubernetes gives it to the pod; see TestTemplateAuthorRunsJobs.
			}
			t.Run(kind+" "+where, func(t *testing.T) {
				w.wantAnswer(t, w.try(author, measured[kind], p.object(t, kind, spec, "ours")), "")
				w.wantAnswer(t, w.try(author, measured[kind], p.object(t, kind, spec, "theirs")),
					fmt.Sprintf("%s.name: %q may not read Secret %stheirs", where, author, home))
			})
		}
	}
}

// TestTemplateAuthor: which right it takes, and what the refusal says.
func TestTemplateAuthor(t *testing.T) {
	w := newAuthors(t)
	const remedy = ", and so may not have Sluice read it; name one that you may read, or ask for the RBAC verb \"get\" on it"
	const free = `{name: free, provider: {prometheus: {query: up}}}`
	for name, test := range map[string]struct {
		by      string
		kind    string // default AnalysisTemplate
		metrics []string
		refuse  string
	}{
		"no Secret":                 {by: "nan", metrics: []string{free}},
		"by name":                   {by: "ann", metrics: []string{free, tokenOf("ours")}},
		"by the right to all":       {by: "bob", metrics: []string{tokenOf("ours"), tokenOf("theirs"), tokenOf("thine")}},
		"without a right":           {by: "nan", metrics: []string{tokenOf("ours")}, refuse: `spec.metrics[ours].provider.http.connection.bearerToken.name: "nan" may not read Secret NS/ours` + remedy},
		"by the right to list":      {by: "lea", metrics: []string{tokenOf("ours")}, refuse: `"lea" may not read Secret NS/ours`},
		"by the right to another":   {by: "ann", metrics: []string{tokenOf("theirs")}, refuse: `"ann" may not read Secret NS/theirs`},
		"one of three":              {by: "ann", metrics: []string{free, tokenOf("ours"), tokenOf("theirs")}, refuse: `spec.metrics[theirs].provider.http.connection.bearerToken.name: "ann" may not read Secret NS/theirs`},
		"by an administrator":       {metrics: []string{tokenOf("theirs"), job}},
		"cluster, by name":          {by: w.carl, kind: "ClusterAnalysisTemplate", metrics: []string{tokenOf("ours")}},
		"cluster, by administrator": {kind: "ClusterAnalysisTemplate", metrics: []string{tokenOf("theirs"), job}},
		"cluster, with the right in one namespace": {
			by: w.cora, kind: "ClusterAnalysisTemplate", metrics: []string{tokenOf("ours")},
			refuse: `"` + w.cora + `" may not read Secret ours in every namespace` + remedy + ` by a ClusterRoleBinding, or write an AnalysisTemplate in your own namespace`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.kind == "" {
				test.kind = "AnalysisTemplate"
			}
			err := w.try(test.by, measured[test.kind], asKind(test.kind, template(t, test.metrics...)))
			w.wantAnswer(t, err, test.refuse)
		})
	}
}

// wantAnswer wants no refusal, or one with these words, in which NS stands for the namespace.
func (w *world) wantAnswer(t *testing.T, err error, refuse string) {
	t.Helper()
	if refuse != "" {
		wantForbidden(t, err, strings.ReplaceAll(refuse, "NS", w.namespace))
	} else if err != nil {
		t.Error(err)
	}
}

// TestTemplateAuthorRunsJobs: it takes the right to create Jobs, and none to the Secrets that Kubernetes gives to its pod.
func TestTemplateAuthorRunsJobs(t *testing.T) {
	w := newAuthors(t)
	for kind, resource := range measured {
		object := asKind(kind, template(t, job))
		if kind == "ClusterAnalysisTemplate" {
			w.wantAnswer(t, w.try(w.carl, resource, object), "")
			w.wantAnswer(t, w.try(w.cora, resource, object), `spec.metrics[smoke].provider.job: "`+w.cora+`" may not create Jobs in every namespace, `+
				`and so may not have Sluice create them; ask for the RBAC verb "create" on jobs.batch by a ClusterRoleBinding`)
			continue
		}
		w.wantAnswer(t, w.try("rob", resource, object), "")
		w.wantAnswer(t, w.try("bob", resource, object), "")
		w.wantAnswer(t, w.try("ann", resource, object), `spec.metrics[smoke].provider.job: "ann" may not create Jobs in namespace NS, `+
			`and so may not have Sluice create them; ask for the RBAC verb "create" on jobs.batch`)
	}
}

// TestTemplateAuthorNamesMany: the API server bounds what a policy may look at, which must neither let a Secret pass nor
// refuse what is allowed.
func TestTemplateAuthorNamesMany(t *testing.T) {
	w := newAuthors(t)
	w.role("many", "{apiGroups: [''], resources: [secrets], resourceNames: ["+strings.Join(numbered(17), ", ")+"], verbs: [get]}")
	w.bind("ann", "Role", "many")
	for name, test := range map[string]struct {
		by      string
		secrets []string
		refuse  string
	}{
		"16":                               {by: "ann", secrets: numbered(16)},
		"17":                               {by: "ann", secrets: numbered(17), refuse: "spec.metrics: more than 16 different Secrets are named here, which only those may do who may read every Secret"},
		"17 of who reads all":              {by: "bob", secrets: numbered(17)},
		"the 16th is not his":              {by: "ann", secrets: append(numbered(15), "theirs"), refuse: `"ann" may not read Secret NS/theirs`},
		"336 of who reads all":             {by: "bob", secrets: numbered(336)},
		"336 times the same":               {by: "ann", secrets: slices.Repeat([]string{"ours"}, 336)},
		"336, the last but one is not his": {by: "ann", secrets: append(slices.Repeat([]string{"ours"}, 334), "theirs", "ours"), refuse: `"ann" may not read Secret NS/theirs`},
	} {
		t.Run(name, func(t *testing.T) {
			w.wantAnswer(t, w.try(test.by, templates, crowded(t, test.secrets)), test.refuse)
		})
	}
}

// numbered are the names of so many Secrets.
func numbered(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("secret-%03d-%s", i, strings.Repeat("x", 200)))
	}
	return names
}

// crowded is a template with as many references to Secrets, 21 in a metric, which is the most.
func crowded(t *testing.T, secrets []string) *unstructured.Unstructured {
	t.Helper()
	var metrics []any
	for i, some := range slices.Collect(slices.Chunk(secrets, 21)) {
		connection := map[string]any{}
		provider := map[string]any{"address": "http://influx", "org": "shop", "query": strings.Repeat("x", 8192), "connection": connection}
		var headers []any
		for j, secret := range some {
			key := map[string]any{"name": secret, "key": "key"}
			switch j {
			case 0:
				provider["token"] = key
			case 1:
				connection["bearerToken"] = key
			case 2:
				connection["basicAuth"] = map[string]any{"name": secret}
			case 3:
				connection["ca"] = key
			case 4:
				connection["clientCertificate"] = map[string]any{"name": secret}
			default:
				headers = append(headers, map[string]any{"name": fmt.Sprintf("X-%02d-%s", j, strings.Repeat("h", 200)), "secret": key})
			}
		}
		connection["headers"] = headers
		metrics = append(metrics, map[string]any{"name": fmt.Sprintf("metric-%02d", i), "provider": map[string]any{"influxDB": provider}})
	}
	object := template(t)
	if err := unstructured.SetNestedSlice(object.Object, metrics, "spec", "metrics"); err != nil {
		t.Fatal(err)
	}
	return object
}

// TestTemplateChange: who changes a template answers for all of it, or the Secret of another would be sent wherever he
// likes. Labels are free.
func TestTemplateChange(t *testing.T) {
	w := newAuthors(t)
	elsewhere := strings.Replace(tokenOf("ours"), "metrics.example", "evil.example", 1)
	for kind, resource := range map[string]schema.GroupVersionResource{"AnalysisTemplate": templates, "ClusterAnalysisTemplate": clusterTemplates} {
		ann, nan := "ann", "nan"
		if kind == "ClusterAnalysisTemplate" {
			ann, nan = w.carl, w.cora
		}
		name := "t-" + w.namespace
		object := asKind(kind, template(t, tokenOf("ours")))
		object.SetName(name)
		if _, err := w.on(ann, resource).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.on("", resource).Delete(context.Background(), name, metav1.DeleteOptions{}) })
		for _, test := range []struct {
			by, patch, refuse string
		}{
			{by: nan, patch: `{metadata: {labels: {team: shop}, finalizers: [shop.example/keep]}}`},
			{by: nan, patch: `{metadata: {finalizers: null}}`},
			{by: nan, patch: `{spec: {metrics: [` + tokenOf("ours") + `]}}`}, // as it is
			{by: nan, patch: `{spec: {metrics: [` + elsewhere + `]}}`, refuse: `"` + nan + `" may not read Secret `},
			{by: nan, patch: `{spec: {args: [{name: x}]}}`, refuse: `"` + nan + `" may not read Secret `},
			{by: ann, patch: `{spec: {metrics: [` + elsewhere + `]}}`},
			{by: ann, patch: `{spec: {metrics: [` + tokenOf("theirs") + `]}}`, refuse: `"` + ann + `" may not read Secret `},
			{by: nan, patch: `{spec: {metrics: [{name: up, provider: {prometheus: {query: up}}}]}}`}, // takes it out
			{by: nan, patch: `{spec: {metrics: [` + tokenOf("ours") + `]}}`, refuse: `"` + nan + `" may not read Secret `},
			{by: ann, patch: `{spec: {metrics: [` + tokenOf("ours") + `]}}`},
		} {
			_, err := w.on(test.by, resource).Patch(t.Context(), name, types.MergePatchType, asJSON(t, test.patch), metav1.PatchOptions{})
			if t.Run(kind+" "+test.by+" "+test.patch, func(t *testing.T) { w.wantAnswer(t, err, test.refuse) }); t.Failed() {
				return // The rest builds on it.
			}
		}
	}
}

func asJSON(t *testing.T, text string) []byte {
	t.Helper()
	data, err := parse(t, text).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
