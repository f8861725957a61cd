package admission_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// answerer lets its bearer answer for one release, and make Decisions at all.
const answerer = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: answerer}
rules:
- {apiGroups: [sluice.dev], resources: [decisions], verbs: [create, get]}
- {apiGroups: [sluice.dev], resources: [releases], resourceNames: [shop-1], verbs: [approve, reject]}
`

// TestApproval: an approval is accepted from the one who may give it, in his own name and with groups of his own,
// however he has proven who he is.
func TestApproval(t *testing.T) {
	w := deciders(t)
	w.create("", roles, answerer)
	robot, token := w.serviceAccount("robot")
	for name, who := range map[string]struct {
		user  string
		group string // one of his
		cfg   *rest.Config
	}{
		"impersonated":       {"sue", "sre", w.As("sue", "sre")},
		"client certificate": {"zoe", "sre", w.certificate("zoe", "sre")},
		"service account":    {robot, "system:serviceaccounts:" + w.namespace, token},
	} {
		w.bind(who.user, "Role", "answerer")
		for verb, test := range map[string]struct {
			word   word
			refuse string
		}{
			"approves":                 {word: word{verb: "approve", release: "shop-1"}},
			"rejects":                  {word: word{verb: "reject", release: "shop-1"}},
			"approves, signed":         {word: word{verb: "approve", release: "shop-1", user: who.user, groups: []string{who.group}}},
			"approves another release": {word{verb: "approve", release: "shop-2"}, `spec.verb: "USER" may not approve release NS/shop-2`},
			"in another's name":        {word{verb: "approve", release: "shop-1", user: "ann"}, `spec.user: is "ann", but this request comes from "USER"`},
			"with another's groups":    {word{verb: "approve", release: "shop-1", groups: []string{who.group, "ops"}}, `spec.groups: "USER" is not in ops`},
			"with the masters' group":  {word{verb: "approve", release: "shop-1", groups: []string{"system:masters"}}, `spec.groups: "USER" is not in system:masters`},
			"overrides": {word{verb: "override", release: "shop-1"}, `spec.verb: "USER" may not override release NS/shop-1; ` +
				`it takes the RBAC verb "override" on releases.sluice.dev there (see ClusterRole sluice-admin)`},
			"promotes": {word{verb: "promote", release: "shop-1"}, `(see ClusterRole sluice-releaser)`},
		} {
			t.Run(name+" "+verb, func(t *testing.T) {
				w.expect(t, who.cfg, test.word, who.user, strings.ReplaceAll(test.refuse, "USER", who.user))
			})
		}
	}
}

// TestApprovalTakesItsOwnVerb: no other right stands in for it, be it for a person or for a program.
func TestApprovalTakesItsOwnVerb(t *testing.T) {
	w := deciders(t)
	robot, token := w.serviceAccount("robot")
	w.bind(robot, "ClusterRole", "sluice-releaser")
	w.create("", roles, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: writer}
rules: [{apiGroups: [sluice.dev], resources: ["*"], verbs: [get, list, watch, create, update, patch, delete]}]
`)
	w.bind("wim", "Role", "writer")
	byPolicy := `spec.verb: "USER" may not VERB release NS/shop-1; it takes the RBAC verb "VERB" on releases.sluice.dev there`
	byRBAC := `User "USER" cannot create resource "decisions"`
	for user, test := range map[string]struct {
		cfg    *rest.Config
		refuse string
	}{
		"ann":              {w.As("ann"), byPolicy}, // may promote shop-1
		"bob":              {w.As("bob"), byPolicy}, // edits what a team edits
		"wim":              {w.As("wim"), byPolicy}, // writes all objects of ours
		robot:              {token, byPolicy},
		sluice:             {w.As(sluice), byRBAC},
		"zoe":              {w.certificate("zoe", "sre"), byRBAC},
		"system:anonymous": {rest.AnonymousClientConfig(w.Config), byRBAC},
	} {
		for _, verb := range []v1alpha1.DecisionVerb{v1alpha1.VerbApprove, v1alpha1.VerbReject, v1alpha1.VerbOverride} {
			refuse := strings.NewReplacer("USER", user, "VERB", string(verb)).Replace(test.refuse)
			w.expect(t, test.cfg, word{verb: verb, release: "shop-1"}, "", refuse)
		}
	}
}

// TestGroups: those of the author are filled in where he has said nothing of himself.
func TestGroups(t *testing.T) {
	w := deciders(t)
	w.create("", roles, answerer)
	w.bind("sue", "Role", "answerer")
	w.bind("zoe", "Role", "answerer")
	many := func(n int) []string { // with system:authenticated
		var groups []string
		for i := range n - 1 {
			groups = append(groups, fmt.Sprintf("team-%02d", i))
		}
		return groups
	}
	long, longest := strings.Repeat("x", 257), strings.Repeat("x", 256)
	for name, test := range map[string]struct {
		cfg  *rest.Config
		word word
		want []string
	}{
		"left out":                    {cfg: w.As("sue", "sre"), want: []string{"sre", "system:authenticated"}},
		"left out, by certificate":    {cfg: w.certificate("zoe", "sre", "ops"), want: []string{"ops", "sre", "system:authenticated"}},
		"named in part":               {cfg: w.As("sue", "sre", "ops"), word: word{groups: []string{"ops"}}, want: []string{"ops"}},
		"named none":                  {cfg: w.As("sue", "sre"), word: word{groups: []string{}}, want: []string{}},
		"user named, groups left out": {cfg: w.As("sue", "sre"), word: word{user: "sue"}},
		"named twice":                 {cfg: w.As("sue", "sre"), word: word{groups: []string{"sre", "sre"}}, want: []string{"sre", "sre"}},
		"has one twice":               {cfg: w.As("sue", "sre", "sre"), want: []string{"sre", "sre", "system:authenticated"}},
		"as many as there is room":    {cfg: w.As("sue", many(64)...), want: append(many(64), "system:authenticated")},
		"more than there is room":     {cfg: w.As("sue", many(65)...)},
		"more, and names one":         {cfg: w.As("sue", many(300)...), word: word{groups: []string{"team-07"}}, want: []string{"team-07"}},
		"as long as there is room":    {cfg: w.As("sue", longest), want: []string{"system:authenticated", longest}},
		"longer than there is room":   {cfg: w.As("sue", "sre", long), want: []string{"sre", "system:authenticated"}},
		"more, but for long ones":     {cfg: w.As("sue", append(many(64), long)...), want: append(many(64), "system:authenticated")},
	} {
		t.Run(name, func(t *testing.T) {
			test.word.verb, test.word.release = "approve", "shop-1"
			made, err := w.decide(test.cfg, test.word)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, group := range nested[[]any](t, made, "spec", "groups") {
				got = append(got, group.(string))
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("spec.groups (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGroupsOfOthers: however many are claimed, the refusal says what is wrong.
func TestGroupsOfOthers(t *testing.T) {
	w := deciders(t)
	var claimed []string
	for i := range 64 {
		claimed = append(claimed, fmt.Sprintf("team-%02d-%s", i, strings.Repeat("x", 240)))
	}
	_, err := w.decide(w.As("ann"), word{verb: "promote", release: "shop-1", groups: claimed})
	wantForbidden(t, err, `spec.groups: "ann" is not in `+claimed[0]+` and 63 others; name only groups of your own (kubectl auth whoami lists them)`)
}

// TestTeamsSpeakAsTheirServiceAccounts is a limit, not a protection: Kubernetes' own role edit lets its bearer act as any
// ServiceAccount of the namespace. So none of those that a team can reach may be an approver, as docs/access.md says.
func TestTeamsSpeakAsTheirServiceAccounts(t *testing.T) {
	w := newWorld(t)
	w.create("", roles, answerer)
	robot, _ := w.serviceAccount("robot")
	w.bind(robot, "Role", "answerer")
	cfg := w.certificate("alice")
	w.expect(t, cfg, word{verb: "approve", release: "shop-1"}, "", `"alice" may not approve`)
	cfg.Impersonate.UserName = robot
	w.expect(t, cfg, word{verb: "approve", release: "shop-1"}, robot, "")
}

// serviceAccount makes one, and a connection with its token.
func (w *world) serviceAccount(name string) (string, *rest.Config) {
	w.t.Helper()
	w.mustKubectl("alice", "", "create", "serviceaccount", name)
	cfg := rest.AnonymousClientConfig(w.Config)
	cfg.BearerToken = strings.TrimSpace(w.MustKubectl(w.t, "", "-n", w.namespace, "create", "token", name))
	return "system:serviceaccount:" + w.namespace + ":" + name, cfg
}

// certificate is the connection of a person with a client certificate, as an authority gives it to him.
func (w *world) certificate(user string, groups ...string) *rest.Config {
	w.t.Helper()
	dir, binary := w.playground()
	args := []string{"user", user, "--dir", dir}
	for _, group := range groups {
		args = append(args, "--group", group)
	}
	cmd := exec.CommandContext(w.t.Context(), binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	kubeconfig, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.QPS = -1
	return cfg
}

// playground finds the directory of the cluster and the binary that runs it. A cluster that is none of ours gives
// certificates in ways of its own.
func (w *world) playground() (dir, binary string) {
	w.t.Helper()
	beside := filepath.Dir(w.Kubeconfig)
	for _, dir = range []string{filepath.Join(beside, "cluster"), beside} {
		if _, err := os.Stat(filepath.Join(dir, "pki")); !errors.Is(err, fs.ErrNotExist) {
			binary = os.Getenv("SLUICE_PLAYGROUND")
			if binary == "" {
				binary = filepath.Join("..", "..", "bin", "sluice-playground")
			}
			return dir, binary
		}
	}
	if os.Getenv("SLUICE_PLAYGROUND_KUBECONFIG") == "" {
		w.t.Fatalf("no directory of a playground beside %s", w.Kubeconfig)
	}
	w.t.Skip("the cluster is no playground, and gives no client certificates")
	return "", ""
}
