package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/toy"
	"github.com/sluice-dev/sluice/internal/translate"
)

// TestEveryLayer: each kind of layer has all that it needs besides its provider: a field in the API, the controller's
// rights, the admission policies, and its place in the docs. A new row fails until all are there, and is told what to
// add.
func TestEveryLayer(t *testing.T) {
	house := newHouse(t)
	fields := reflect.TypeFor[v1alpha1.TrafficLayer]()
	if len(Layers) != fields.NumField() {
		t.Errorf("%d rows in internal/registry/traffic.go for %d fields of TrafficLayer", len(Layers), fields.NumField())
	}
	for i := range fields.NumField() {
		field := jsonName(fields.Field(i))
		if !slices.ContainsFunc(Layers, func(k translate.LayerKind) bool { return k.Field == field }) {
			t.Errorf("internal/registry/traffic.go: add a row for TrafficLayer.%s", field)
		}
	}
	for _, kind := range Layers {
		for _, lack := range house.lacks(kind) {
			t.Errorf("%s: %s", kind.Field, lack)
		}
	}
}

// TestRecipeIsTold: whoever has written a provider and its row and nothing else is told the rest of the recipe.
func TestRecipeIsTold(t *testing.T) {
	row := translate.LayerKind{Field: "toy", New: func(v1alpha1.TrafficLayer) traffic.Provider { return toy.New("shop") }}
	told := strings.Join(newHouse(t).lacks(row), "\n")
	for _, want := range []string{
		"api/v1alpha1/rollout_types.go: add the field toy to TrafficLayer",
		"deploy/crds/sluice.dev_rollouts.yaml: name toy in the marker ExactlyOneOf of TrafficLayer",
		"deploy/rbac/controller.yaml: add - {apiGroups: [toy.example.com], resources: [routers], " +
			"verbs: [get, list, watch, update, patch]}",
		"deploy/rbac/controller.yaml: add - {apiGroups: [toy.example.com], resources: [pools], " +
			"verbs: [get, list, watch, create, update, patch, delete]}",
		"deploy/policies/rollout-author.yaml: ask for update of rulesets: " +
			"'toy' in l ? ['toy', 'toy.example.com', 'rulesets', ",
		"deploy/policies/rollout-author.yaml: ask for create on pools",
		"deploy/policies/controller.yaml: match operations UPDATE of routers",
		"deploy/policies/controller.yaml: match operations CREATE, UPDATE, DELETE of pools",
		"deploy/policies/controller.yaml: add - expression: " +
			"variables.kind != 'pools' || request.operation != 'UPDATE' || variables.ours",
		"deploy/policies/keep-canary.yaml: match operations UPDATE of pools",
		"deploy/policies/own-nothing.yaml: match operations UPDATE of rulesets",
		"deploy/policies: add a policy like hold-route.yaml for RuleSet",
		"docs/traffic.md: add a column `toy`",
		"docs/rollout.md: add a row for `traffic[].toy.name`",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("is not told: %s", want)
		}
	}
	for _, not := range []string{"CREATE, UPDATE, DELETE of routers", "hold-route.yaml for Pool"} {
		if strings.Contains(told, not) {
			t.Errorf("is told: %s", not)
		}
	}
}

// house is what has to follow from the rows.
type house struct {
	// rules are those of the controller's roles.
	rules []rule
	// policies are the admission policies, by their files.
	policies map[string][]policy
	text     map[string]string
}

// rule is what a role allows, or a policy matches.
type rule struct {
	Groups     []string `json:"apiGroups"`
	Resources  []string `json:"resources"`
	Verbs      []string `json:"verbs"`
	Operations []string `json:"operations"`
}

func (r rule) verbs() []string      { return r.Verbs }
func (r rule) operations() []string { return r.Operations }

type policy struct {
	Kind  string `json:"kind"`
	Rules []rule `json:"rules"`
	Spec  struct {
		ParamKind        map[string]string `json:"paramKind"`
		MatchConstraints struct {
			ResourceRules []rule `json:"resourceRules"`
		} `json:"matchConstraints"`
	} `json:"spec"`
}

const (
	role       = "deploy/rbac/controller.yaml"
	author     = "deploy/policies/rollout-author.yaml"
	bound      = "deploy/policies/controller.yaml"
	keepCanary = "deploy/policies/keep-canary.yaml"
	own        = "deploy/policies/own-nothing.yaml"
	installs   = "deploy/deploy.go"
)

var crds = []string{"deploy/crds/sluice.dev_rollouts.yaml", "deploy/crds/sluice.dev_releases.yaml"}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{policies: map[string][]policy{}, text: map[string]string{}}
	files, err := filepath.Glob("../../deploy/policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	for i, name := range files {
		files[i] = strings.TrimPrefix(name, "../../")
	}
	for _, name := range slices.Concat(files, crds, []string{role, installs, "docs/traffic.md", "docs/rollout.md"}) {
		data, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		h.text[name] = string(data)
	}
	for _, name := range append(files, role) {
		for _, document := range strings.Split(h.text[name], "\n---\n") {
			var p policy
			if err := yaml.Unmarshal([]byte(document), &p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h.policies[name] = append(h.policies[name], p)
			if name == role {
				h.rules = append(h.rules, p.Rules...)
			}
		}
	}
	return h
}

// lacks says what a kind of layer lacks, and what to add where.
func (h *house) lacks(kind translate.LayerKind) []string {
	out, entry := h.lacksField(kind.Field)
	named := kind.New(entry)
	for _, o := range named.Objects(traffic.World{Rollout: "shop"}) {
		out = append(out, h.lacksPolicy(kind.Field, o)...)
	}
	for gvk, part := range partsOf(named) {
		out = append(out, h.lacksRights(gvk, part)...)
	}
	for _, page := range []struct{ name, want, add string }{
		{"docs/traffic.md", "| `" + kind.Field + "` |", "a column `" + kind.Field + "` in the table of what layers can do"},
		{"docs/traffic.md", "\n## " + kind.Field + "\n", "a section " + kind.Field},
		{"docs/rollout.md", "`traffic[]." + kind.Field + ".name`", "a row for `traffic[]." + kind.Field + ".name`"},
	} {
		if !strings.Contains(h.text[page.name], page.want) {
			out = append(out, fmt.Sprintf("%s: add %s", page.name, page.add))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lacksField says what the API lacks, and is an entry of spec.traffic with the field set.
func (h *house) lacksField(name string) (out []string, entry v1alpha1.TrafficLayer) {
	field, found := reflect.TypeFor[v1alpha1.TrafficLayer]().FieldByNameFunc(func(goName string) bool {
		f, _ := reflect.TypeFor[v1alpha1.TrafficLayer]().FieldByName(goName)
		return jsonName(f) == name
	})
	usable := false
	if found && field.Type.Kind() == reflect.Pointer {
		of := reflect.New(field.Type.Elem())
		_, options := of.Interface().(interface{ Options() *v1alpha1.LayerOptions })
		if n := of.Elem().FieldByName("Name"); options && n.IsValid() && n.Kind() == reflect.String {
			n.SetString("shop")
			reflect.ValueOf(&entry).Elem().FieldByIndex(field.Index).Set(of)
			usable = true
		}
	}
	if !usable {
		out = append(out, fmt.Sprintf("api/v1alpha1/rollout_types.go: add the field %s to TrafficLayer, "+
			"a pointer to a struct with a name and LayerOptions; then make generate", name))
	}
	for _, crd := range crds {
		if !strings.Contains(h.text[crd], "has(self."+name+")") {
			out = append(out, fmt.Sprintf("%s: name %s in the marker ExactlyOneOf of TrafficLayer, then make generate",
				crd, name))
		}
	}
	return out, entry
}

// partsOf are the layer's kinds, with the most that it does with an object of each.
func partsOf(p traffic.Provider) map[schema.GroupVersionKind][]traffic.Part {
	out := map[schema.GroupVersionKind][]traffic.Part{}
	for _, o := range traffic.Kinds(p) {
		out[o.GroupVersionKind] = append(out[o.GroupVersionKind], o.Part)
	}
	return out
}

// lacksPolicy says for one object what the policy on authors lacks, which asks what the author himself may write.
func (h *house) lacksPolicy(field string, o traffic.Object) []string {
	plural := resource(o.GroupVersionKind)
	group := fmt.Sprintf("group('%s').resource('%s')", plural.Group, plural.Resource)
	switch {
	case o.Part == traffic.Makes:
		if !h.asks(field, group, "create") {
			return []string{fmt.Sprintf("%s: ask for create on %s where a layer is of kind %s: "+
				"authorizer.%s.namespace(request.namespace).check('create')", author, plural.Resource, field, group)}
		}
	case o.Name != "":
		want := fmt.Sprintf("['%s', '%s', '%s', ", field, plural.Group, plural.Resource)
		if !strings.Contains(h.text[author], want) {
			return []string{fmt.Sprintf("%s: ask for update of %s: '%s' in l ? %sstring(l.%s.name)]",
				author, plural.Resource, field, want, field)}
		}
	case !h.asks(field, group, "update"): // It is named in another object, which the policy does not see.
		return []string{fmt.Sprintf("%s: ask for update on all %s where a layer is of kind %s",
			author, plural.Resource, field)}
	}
	return nil
}

// asks says whether the policy on authors asks for a right on all objects of a kind, where this field is set.
func (h *house) asks(field, group, verb string) bool {
	for _, rule := range strings.Split(h.text[author], "\n  - expression:") {
		if containsAll(rule, "l[0] == '"+field+"'", group, "check('"+verb+"')") {
			return true
		}
	}
	return false
}

// lacksRights says what the controller lacks that it is to do with objects of a kind, and what holds it and others to
// it.
func (h *house) lacksRights(gvk schema.GroupVersionKind, parts []traffic.Part) (out []string) {
	plural := resource(gvk)
	changes, makes := slices.Contains(parts, traffic.Changes), slices.Contains(parts, traffic.Makes)
	verbs := []string{"get", "list", "watch"}
	if makes {
		verbs = append(verbs, "create")
	}
	if makes || changes {
		verbs = append(verbs, "update", "patch")
	}
	if makes {
		verbs = append(verbs, "delete")
	}
	if !allowed(h.rules, plural, rule.verbs, verbs...) {
		out = append(out, fmt.Sprintf("%s: add - {apiGroups: [%s], resources: [%s], verbs: [%s]}; "+
			"and to the table in docs/threat-model.md", role, plural.Group, plural.Resource, strings.Join(verbs, ", ")))
	}
	match := func(file string, operations ...string) {
		var rules []rule
		for _, p := range h.policies[file] {
			rules = append(rules, p.Spec.MatchConstraints.ResourceRules...)
		}
		if !allowed(rules, plural, rule.operations, operations...) {
			out = append(out, fmt.Sprintf("%s: match operations %s of %s, apiGroups [%s]",
				file, strings.Join(operations, ", "), plural.Resource, plural.Group))
		}
	}
	if makes {
		match(bound, "CREATE", "UPDATE", "DELETE")
		match(keepCanary, "UPDATE")
	}
	ours := fmt.Sprintf("variables.kind != '%s' || request.operation != 'UPDATE' || variables.ours", plural.Resource)
	if makes && !changes && !strings.Contains(h.text[bound], ours) {
		out = append(out, fmt.Sprintf("%s: add - expression: %s, so that none of the team's is changed", bound, ours))
	}
	if changes {
		match(bound, "UPDATE")
		match(own, "UPDATE")
		if !h.heldBy(gvk) {
			out = append(out, fmt.Sprintf("deploy/policies: add a policy like hold-route.yaml for %s, and its file to %s",
				gvk.Kind, installs))
		}
	}
	return out
}

// heldBy says whether a policy that is installed leaves an object of this kind as it is when the team applies what its
// Hold has kept.
func (h *house) heldBy(gvk schema.GroupVersionKind) bool {
	for file, policies := range h.policies {
		for _, p := range policies {
			matched := allowed(p.Spec.MatchConstraints.ResourceRules, resource(gvk), rule.operations, "UPDATE")
			if matched && p.Kind == "MutatingAdmissionPolicy" && p.Spec.ParamKind["kind"] == "Hold" &&
				containsAll(h.text[file], "params.spec.target.kind == '"+gvk.Kind+"'") &&
				containsAll(h.text[installs], `"`+strings.TrimPrefix(file, "deploy/")+`"`) {
				return true
			}
		}
	}
	return false
}

func containsAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// allowed says whether one of the rules has all these words for a kind.
func allowed(rules []rule, plural schema.GroupVersionResource, words func(rule) []string, all ...string) bool {
	return slices.ContainsFunc(rules, func(r rule) bool {
		return slices.Contains(r.Groups, plural.Group) && slices.Contains(r.Resources, plural.Resource) &&
			!slices.ContainsFunc(all, func(word string) bool { return !slices.Contains(words(r), word) })
	})
}

func resource(gvk schema.GroupVersionKind) schema.GroupVersionResource {
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return plural
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// TestLayersAreRead: each row's provider is that of the entry, and an empty entry has one, which knows its kinds.
func TestLayersAreRead(t *testing.T) {
	house := newHouse(t)
	for _, kind := range Layers {
		_, entry := house.lacksField(kind.Field)
		p := Layers.Of(entry)
		if p == nil {
			t.Errorf("%s: no provider", kind.Field)
			continue
		}
		first := p.Objects(traffic.World{Rollout: "shop"})[0]
		if first.Name != "shop" || first.Part == traffic.Makes {
			t.Errorf("%s: looks first at %+v", kind.Field, first)
		}
		if len(traffic.Missing(p, traffic.World{})) == 0 {
			t.Errorf("%s: misses nothing in an empty world", kind.Field)
		}
		if !reflect.DeepEqual(traffic.Kinds(p), traffic.Kinds(kind.New(v1alpha1.TrafficLayer{}))) {
			t.Errorf("%s: an empty entry has other kinds", kind.Field)
		}
	}
	if p := Layers.Of(v1alpha1.TrafficLayer{}); p != nil {
		t.Errorf("an empty entry has %T", p)
	}
}
