package deploy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

func TestMain(m *testing.M) { playground.Main(m) }

var (
	rollouts = v1alpha1.GroupVersion.WithResource("rollouts")
	releases = v1alpha1.GroupVersion.WithResource("releases")
	holds    = v1alpha1.GroupVersion.WithResource("holds")
)

// client is one for objects of this kind in a namespace of the test's own.
func client(t *testing.T, resource schema.GroupVersionResource) dynamic.ResourceInterface {
	t.Helper()
	c := playground.Start(t)
	if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true}); err != nil {
		t.Fatal(err)
	}
	return c.Dynamic(t).Resource(resource).Namespace(c.Namespace(t))
}

// rollout is a spec with these fields in place of a plain one's. Keys are YAML paths of one step: "canary".
func rollout(name string, fields map[string]string) string {
	plain := map[string]string{
		"workload": "{kind: Deployment, name: shop}",
		"canary":   "{steps: [{weight: 20}]}",
	}
	maps.Copy(plain, fields)
	text := "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: " + name + "}\nspec:\n"
	for _, key := range slices.Sorted(maps.Keys(plain)) {
		text += "  " + key + ": " + plain[key] + "\n"
	}
	return text
}

func steps(text string) map[string]string {
	return map[string]string{"canary": "{steps: " + text + "}"}
}

// TestRolloutSchema: what can be known to be wrong without looking at the cluster is refused when it is written,
// by a message that names the field and what to do.
func TestRolloutSchema(t *testing.T) {
	c := client(t, rollouts)
	long := strings.Repeat("x", 53)
	for name, test := range map[string]struct {
		fields map[string]string
		name   string
		want   []string // parts of the refusal; none means that it is accepted
	}{
		"plain":                {},
		"name of 52":           {name: strings.Repeat("x", 52)},
		"name too long":        {name: long, want: []string{"metadata.name: must be at most 52 characters"}},
		"FaultB11 workload":    {fields: map[string]string{"workload": "{kind: Deployment, name: " + long + "}"}, want: []string{"spec.workload.name: must be at most 52 characters", "give the workload a shorter name"}},
		"no steps":             {fields: steps("[]"), want: []string{"spec.canary.steps", "at least 1 items"}},
		"no canary":            {fields: map[string]string{"canary": "null"}, want: []string{"spec", "exactly one of the fields in [canary blueGreen] must be set"}},
		"both strategies":      {fields: map[string]string{"blueGreen": "{}"}, want: []string{"exactly one of the fields in [canary blueGreen] must be set"}},
		"blue-green":           {fields: map[string]string{"canary": "null", "blueGreen": "{replicas: 50%, preview: {service: shop-preview, match: [{headers: [{name: X, value: a}]}]}, before: {pause: {}}, after: {pause: {duration: 5m}}, keepOld: 30m}"}},
		"empty preview":        {fields: map[string]string{"canary": "null", "blueGreen": "{preview: {}}"}, want: []string{"blueGreen.preview: set service or match"}},
		"keepOld without unit": {fields: map[string]string{"canary": "null", "blueGreen": "{keepOld: '10'}"}, want: []string{"blueGreen.keepOld: must be between 0s and 8760h, with its unit"}},
		"FaultB14 preview":     {fields: map[string]string{"traffic": "[{httpRoute: {name: a}}]", "canary": "null", "blueGreen": "{preview: {match: [{headers: [{name: X, regex: '(eu|us'}]}]}}"}, want: []string{"spec.blueGreen.preview.match: the regex of a header is no regular expression"}},
		"no weight":            {fields: steps("[{pause: {}}]"), want: []string{"spec.canary.steps[0].weight", "Required"}},
		"weight too large":     {fields: steps("[{weight: 101}]"), want: []string{"spec.canary.steps[0].weight", "less than or equal to 100"}},
		"weight below 0":       {fields: steps("[{weight: -1}]"), want: []string{"spec.canary.steps[0].weight", "greater than or equal to 0"}},
		"weights equal":        {fields: steps("[{weight: 20, pause: {}}, {weight: 20}]")},
		"falling weights":      {fields: steps("[{weight: 50}, {weight: 20}]"), want: []string{"spec.canary.steps: weights must not fall from one step to the next; to take a version back, abort the release"}},
		"same names":           {fields: steps("[{name: a, weight: 1}, {name: a, weight: 2}]"), want: []string{"spec.canary.steps: step names must differ"}},
		"some names":           {fields: steps("[{name: a, weight: 1}, {weight: 2}, {weight: 3}]")},
		"bad name":             {fields: steps("[{name: A b, weight: 1}]"), want: []string{"spec.canary.steps[0].name"}},
		"51 steps":             {fields: steps("[" + strings.Repeat("{weight: 1},", 51) + "]"), want: []string{"spec.canary.steps", "at most 50 items"}},
		"50 steps with names":  {fields: steps(fiftyNamed())},
		"replicas 0":           {fields: steps("[{weight: 0, replicas: 0}]"), want: []string{"replicas: must be a number from 1 to 10000, or a share from 1% to 100%"}},
		"replicas 50%":         {fields: steps("[{weight: 0, replicas: 50%}, {weight: 1, replicas: 7}]")},
		"replicas 0%":          {fields: steps("[{weight: 0, replicas: 0%}]"), want: []string{"spec.canary.steps[0].replicas", "%$"}},
		"replicas half":        {fields: steps("[{weight: 0, replicas: half}]"), want: []string{"spec.canary.steps[0].replicas", "%$"}},
		"pause too long":       {fields: steps("[{weight: 1, pause: {duration: 8761h}}]"), want: []string{"pause.duration: must be between 0s and 8760h"}},
		"pause not a time":     {fields: steps("[{weight: 1, pause: {duration: soon}}]"), want: []string{"spec.canary.steps[0].pause.duration"}},
		"match of nothing":     {fields: steps("[{weight: 1, match: [{}]}]"), want: []string{"match: set headers or cookies"}},
		"match":                {fields: steps("[{weight: 1, match: [{headers: [{name: X-Canary, value: always}], cookies: [{name: c, value: v}]}]}]")},
		"header of nothing":    {fields: steps("[{weight: 1, match: [{headers: [{name: X}]}]}]"), want: []string{"exactly one", "value", "regex"}},
		"header twice":         {fields: steps("[{weight: 1, match: [{headers: [{name: X, value: a, regex: b}]}]}]"), want: []string{"exactly one"}},
		"bad header":           {fields: steps("[{weight: 1, match: [{headers: [{name: 'X Y', value: a}]}]}]"), want: []string{"headers[0].name"}},
		"both layers in one":   {fields: map[string]string{"traffic": "[{ingress: {name: a}, httpRoute: {name: b}}]"}, want: []string{"exactly one", "ingress", "httpRoute"}},
		"two layers":           {fields: map[string]string{"traffic": "[{ingress: {name: a}}, {httpRoute: {name: b}}]"}},
		"controller":           {fields: map[string]string{"traffic": "[{ingress: {name: a, controller: alb}}]"}, want: []string{"spec.traffic[0].ingress.controller", `"nginx"`}},
		"controller nginx":     {fields: map[string]string{"traffic": "[{ingress: {name: a, controller: nginx, confirm: Settle}}, {httpRoute: {name: b, settle: 0s}}]"}},
		"confirm":              {fields: map[string]string{"traffic": "[{httpRoute: {name: a, confirm: never}}]"}, want: []string{"spec.traffic[0].httpRoute.confirm", `"Requests", "Settle"`}},
		"settle of a route": {
			fields: map[string]string{"traffic": "[{httpRoute: {name: a, settle: 11m}}]"},
			want:   []string{"spec.traffic[0].httpRoute.settle", "settle: must be between 0s and 10m"},
		},
		"empty layer":         {fields: map[string]string{"traffic": "[{}]"}, want: []string{"exactly one"}},
		"other workload kind": {fields: map[string]string{"workload": "{kind: StatefulSet, name: a}"}, want: []string{"spec.workload.kind", `"Deployment"`}},
		"no workload name":    {fields: map[string]string{"workload": "{kind: Deployment}"}, want: []string{"spec.workload.name", "Required"}},
		"FaultB14 regex":      {fields: map[string]string{"traffic": "[{httpRoute: {name: a}}]", "canary": "{steps: [{weight: 1, match: [{headers: [{name: X, regex: '(eu|us'}]}]}]}"}, want: []string{"the regex of a header is no regular expression that the gateway of an HTTPRoute or GRPCRoute reads"}},
		"GRPCRoute's regex":   {fields: map[string]string{"traffic": "[{grpcRoute: {name: a}}]", "canary": "{steps: [{weight: 1, match: [{headers: [{name: X, regex: '(eu|us'}]}]}]}"}, want: []string{"spec.canary.steps: the regex of a header is no regular expression"}},
		"GRPCRoute":           {fields: map[string]string{"traffic": "[{grpcRoute: {name: a, settle: 1s, confirm: Settle}}]"}},
		"FaultB14 good regex": {fields: map[string]string{"traffic": "[{httpRoute: {name: a}}]", "canary": "{steps: [{weight: 1, match: [{headers: [{name: X, regex: '(eu|us).*'}]}]}]}"}},
		"FaultB22 no unit":    {fields: steps("[{weight: 1, pause: {duration: '10'}}]"), want: []string{"pause.duration: must be between 0s and 8760h, with its unit, as 10m"}},
		"onFailure":           {fields: map[string]string{"onFailure": "retry"}, want: []string{"spec.onFailure", `"abort", "pause"`}},
		"onAbort":             {fields: map[string]string{"onAbort": "delete"}, want: []string{"spec.onAbort", `"keep", "revert"`}},
		"progressDeadline":    {fields: map[string]string{"progressDeadline": "0s"}, want: []string{"spec.progressDeadline: must be between 1s and 24h"}},
		"releaseDeadline":     {fields: map[string]string{"releaseDeadline": "5s"}, want: []string{"spec.releaseDeadline: must be between 1m and 8760h"}},
		"drainDelay":          {fields: map[string]string{"drainDelay": "2h"}, want: []string{"spec.drainDelay: must be between 0s and 1h"}},
		"historyLimit":        {fields: map[string]string{"historyLimit": "0"}, want: []string{"spec.historyLimit", "greater than or equal to 1"}},
		"unknown field":       {fields: map[string]string{"strategy": "{}"}, want: []string{`unknown field "spec.strategy"`}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.name == "" {
				test.name = "shop"
			}
			_, err := c.Create(t.Context(), parse(t, rollout(test.name, test.fields)),
				metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
			wantRefusal(t, err, test.want)
		})
	}
}

func fiftyNamed() string {
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("{name: step-%d, weight: %d}", i, 2*i))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// TestFixedFields: what must not change is refused when it is changed.
func TestFixedFields(t *testing.T) {
	for name, test := range map[string]struct {
		resource schema.GroupVersionResource
		manifest string
		patch    string
		want     []string
	}{
		"another workload": {rollouts, rollout("shop", nil), `{"spec":{"workload":{"name":"other"}}}`, []string{"spec.workload: cannot be changed; delete this Rollout and create one for the other workload"}},
		"other steps":      {rollouts, rollout("shop", nil), `{"spec":{"canary":{"steps":[{"weight":30}]}}}`, nil},
		"a release's plan": {releases, release, `{"spec":{"plan":{"onFailure":"pause"}}}`, []string{"spec: a release is fixed when it is made"}},
		"what is held":     {holds, hold, `{"spec":{"target":{"name":"other"}}}`, []string{"spec.target: cannot be changed"}},
		"what it was":      {holds, hold, `{"spec":{"original":{"selector":{"app":"other"}}}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, test.resource)
			made, err := c.Create(t.Context(), parse(t, test.manifest), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Patch(t.Context(), made.GetName(), types.MergePatchType, []byte(test.patch), metav1.PatchOptions{})
			wantRefusal(t, err, test.want)
		})
	}
}

const (
	release = `
apiVersion: sluice.dev/v1alpha1
kind: Release
metadata: {name: shop-1}
spec:
  rollout: shop
  number: 1
  from: {hash: a, images: [{container: web, image: "shop:1"}]}
  to: {hash: b, images: [{container: web, image: "shop:2"}]}
  planDigest: sha256:00
  plan:
    workload: {kind: Deployment, name: shop}
    steps: [{weight: 20, pause: {}}]
    onFailure: abort
    onAbort: keep
    progressDeadline: 10m
    releaseDeadline: 168h
    drainDelay: 5s
`
	hold = `
apiVersion: sluice.dev/v1alpha1
kind: Hold
metadata: {name: service-shop}
spec:
  release: shop-1
  target: {apiVersion: v1, kind: Service, name: shop}
  original: {selector: {app: shop}}
`
	states = `{"status":{"phase":"Paused","currentRelease":"shop-1","step":"1/4 smoke","weight":20,
		"waitingFor":{"reason":"ManualPause","message":"somebody must promote it"}}}`
)

// TestColumns: kubectl get tells the state at a glance.
func TestColumns(t *testing.T) {
	c := playground.Start(t)
	if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true}); err != nil {
		t.Fatal(err)
	}
	ns := c.Namespace(t)
	c.MustKubectl(t, rollout("shop", nil)+"---"+release+"---"+hold, "-n", ns, "create", "-f", "-")
	c.MustKubectl(t, "", "-n", ns, "patch", "rollout", "shop", "--subresource=status", "--type=merge", "-p", states)
	c.MustKubectl(t, "", "-n", ns, "patch", "release", "shop-1", "--subresource=status", "--type=merge", "-p",
		`{"status":{"phase":"Paused","stepSummary":"1/4 smoke","weight":20,"waitingFor":{"reason":"ManualPause","message":"somebody must promote it"}}}`)
	output := strings.Join(strings.Fields(c.MustKubectl(t, "", "-n", ns, "get", "sluice")), " ")
	for _, want := range []string{
		"NAME WORKLOAD STATUS RELEASE STEP WEIGHT WAITING AGE rollout.sluice.dev/shop shop Paused shop-1 1/4 smoke 20 somebody must promote it",
		"NAME ROLLOUT PHASE STEP WEIGHT IMAGE WAITING AGE release.sluice.dev/shop-1 shop Paused 1/4 smoke 20 shop:2 somebody must promote it",
		"NAME KIND OBJECT RELEASE AGE hold.sluice.dev/service-shop Service shop shop-1",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("kubectl get sluice does not show %q:\n%s", want, output)
		}
	}
}

// TestExplain: every kind and field of the specs has its sentence in kubectl explain.
func TestExplain(t *testing.T) {
	c := playground.Start(t)
	if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true}); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"rollout":                         "the team's own object",
		"rollout.spec.canary.steps":       "the weight needs, at least 1",
		"rollout.spec.canary.steps.match": "headers must all match",
		"release.status.waitingFor":       "who can end the wait",
		"decision.spec.verb":              "promote ends the pause of the current step",
		"hold.spec.original":              "as they were before",
	} {
		output := strings.Join(strings.Fields(c.MustKubectl(t, "", "explain", field)), " ")
		if !strings.Contains(output, want) {
			t.Errorf("kubectl explain %s does not say %q:\n%s", field, want, output)
		}
		if strings.Contains(output, "<no description>") {
			t.Errorf("kubectl explain %s has an empty description:\n%s", field, output)
		}
	}
}

func wantRefusal(t *testing.T, err error, parts []string) {
	t.Helper()
	if len(parts) == 0 {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("accepted, want a refusal with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("refusal\n  %v\ndoes not say\n  %s", err, part)
		}
	}
}

func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}
