package admission_test

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// narrow lets its bearer decide two things about one release, and make Decisions at all.
const narrow = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: shop-1}
rules:
- {apiGroups: [sluice.dev], resources: [decisions], verbs: [create, get]}
- {apiGroups: [sluice.dev], resources: [releases], resourceNames: [shop-1], verbs: [promote, retry]}
`

// maker lets its bearer make Decisions, and decide nothing.
const maker = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: maker}
rules: [{apiGroups: [sluice.dev], resources: [decisions], verbs: [create]}]
`

// deciders is a world where ann may promote and retry shop-1, and ben may make Decisions.
func deciders(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.create("", roles, narrow)
	w.create("", roles, maker)
	w.bind("ann", "Role", "shop-1")
	w.bind("ben", "Role", "maker")
	return w
}

// word is a Decision as somebody writes it.
type word struct {
	user    string   // "" leaves it to the API server
	groups  []string // nil leaves them to the API server
	verb    v1alpha1.DecisionVerb
	release string
}

func (d word) object() *unstructured.Unstructured {
	spec := map[string]any{"release": d.release, "verb": string(d.verb)}
	if d.user != "" {
		spec["user"] = d.user
	}
	if d.groups != nil {
		groups := make([]any, 0, len(d.groups))
		for _, group := range d.groups {
			groups = append(groups, group)
		}
		spec["groups"] = groups
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Decision"))
	object.SetGenerateName("word-")
	return object
}

// decide writes a Decision over this connection.
func (w *world) decide(cfg *rest.Config, d word) (*unstructured.Unstructured, error) {
	w.t.Helper()
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return client.Resource(decisions).Namespace(w.namespace).Create(w.t.Context(), d.object(), metav1.CreateOptions{})
}

// TestDecisionAuthor: a Decision is accepted from the one who may decide that, in his own name, and from nobody
// else; the refusal says what to do.
func TestDecisionAuthor(t *testing.T) {
	w := deciders(t)
	for name, test := range map[string]struct {
		by     string
		groups []string
		word   word
		refuse string
	}{
		"author filled in":    {by: "ann", word: word{verb: "promote", release: "shop-1"}},
		"author given":        {by: "ann", word: word{verb: "promote", release: "shop-1", user: "ann"}},
		"another verb of his": {by: "ann", word: word{verb: "retry", release: "shop-1"}},
		"groups of his":       {by: "ann", groups: []string{"sre", "web"}, word: word{verb: "promote", release: "shop-1", groups: []string{"web"}}},
		"a verb that is not his": {
			by: "ann", word: word{verb: "abort", release: "shop-1"},
			refuse: `spec.verb: "ann" may not abort release NS/shop-1; it takes the RBAC verb "abort" on releases.sluice.dev there`,
		},
		"a release that is not his": {
			by: "ann", word: word{verb: "promote", release: "shop-2"},
			refuse: `spec.verb: "ann" may not promote release NS/shop-2`,
		},
		"groups of others": {
			by: "ann", groups: []string{"web"}, word: word{verb: "promote", release: "shop-1", groups: []string{"web", "sre", "ops"}},
			refuse: `spec.groups: "ann" is not in sre, ops`,
		},
		"in another's name": {
			by: "ben", word: word{verb: "promote", release: "shop-1", user: "ann"},
			refuse: `spec.user: is "ann", but this request comes from "ben"`,
		},
		"without the right": {
			by: "ben", word: word{verb: "promote", release: "shop-1"},
			refuse: `spec.verb: "ben" may not promote release NS/shop-1`,
		},
		"without any right": {
			by: "eve", word: word{verb: "promote", release: "shop-1"},
			refuse: `User "eve" cannot create resource "decisions"`,
		},
		"in another's name by an administrator": {
			by: "", word: word{verb: "promote", release: "shop-1", user: "ann"},
			refuse: `spec.user: is "ann"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := w.Config
			if test.by != "" {
				cfg = w.As(test.by, test.groups...)
			}
			w.expect(t, cfg, test.word, test.by, test.refuse)
		})
	}
}

// expect writes a Decision and wants it to be this author's, or to be refused with these words, in which NS stands for
// the namespace.
func (w *world) expect(t *testing.T, cfg *rest.Config, d word, author, refuse string) {
	t.Helper()
	made, err := w.decide(cfg, d)
	if refuse != "" {
		wantForbidden(t, err, strings.ReplaceAll(refuse, "NS", w.namespace))
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := nested[string](t, made, "spec", "user"); got != author {
		t.Errorf("spec.user is %q, want %q", got, author)
	}
}

func wantForbidden(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v\nwant a refusal that says %s", err, words)
	}
	if !apierrors.IsForbidden(err) {
		t.Errorf("reason %q, want Forbidden", apierrors.ReasonForError(err))
	}
}

// TestDecisionCannotBeChanged: by its author for lack of a right, and by nobody at all for the kind's own rule.
func TestDecisionCannotBeChanged(t *testing.T) {
	w := deciders(t)
	w.bind("ann", "ClusterRole", "sluice-admin")
	made, err := w.decide(w.As("ann"), word{verb: "promote", release: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(user, patch string, subresource ...string) error {
		_, err := w.as(user, decisions).Patch(t.Context(), made.GetName(), types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresource...)
		return err
	}
	for _, user := range []string{"ann", "ben"} {
		if err := patch(user, `{"spec":{"verb":"abort"}}`); !apierrors.IsForbidden(err) {
			t.Errorf("%s changes the verb: %v, want Forbidden", user, err)
		}
		if err := patch(user, `{"status":{"outcome":"Applied"}}`, "status"); !apierrors.IsForbidden(err) {
			t.Errorf("%s writes the outcome: %v, want Forbidden", user, err)
		}
	}
	for _, user := range []string{"", sluice} {
		for _, change := range []string{
			`{"spec":{"verb":"abort"}}`, `{"spec":{"user":"ben"}}`, `{"spec":{"user":null}}`, `{"spec":{"comment":"so be it"}}`,
			`{"spec":{"groups":["system:authenticated","sre"]}}`, `{"spec":{"groups":[]}}`, `{"spec":{"groups":null}}`,
		} {
			if err := patch(user, change); err == nil || !strings.Contains(err.Error(), "a decision cannot be changed; make another") {
				t.Errorf("%q writes %s: %v, want a refusal", user, change, err)
			}
		}
	}
	if err := patch(sluice, `{"status":{"outcome":"Refused","reason":"WrongStep","message":"the release has gone on"}}`, "status"); err != nil {
		t.Fatalf("Sluice writes the outcome: %v", err)
	}
	for _, change := range []string{`{"status":{"outcome":"Applied"}}`, `{"status":{"message":""}}`, `{"status":null}`} {
		if err := patch(sluice, change, "status"); err == nil || !strings.Contains(err.Error(), "written once") {
			t.Errorf("the outcome is written again as %s: %v, want a refusal", change, err)
		}
	}
}

// TestNobodyBorrowsAName: somebody who is signed in for himself cannot say that he is another.
func TestNobodyBorrowsAName(t *testing.T) {
	w := deciders(t)
	robot, cfg := w.serviceAccount("robot")
	w.bind(robot, "Role", "maker")

	_, err := w.decide(cfg, word{verb: "promote", release: "shop-1"})
	if want := fmt.Sprintf("%q may not promote", robot); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("as himself: %v, want %s", err, want)
	}
	cfg.Impersonate.UserName = "ann"
	if _, err = w.decide(cfg, word{verb: "promote", release: "shop-1"}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot impersonate") {
		t.Errorf("as another: %v, want that it cannot impersonate", err)
	}
}
