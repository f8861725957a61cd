package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// asAccount is the words that make kubectl act as a ServiceAccount, by a token of its own.
func (w *world) asAccount(name string) []string {
	w.Helper()
	w.kubectl("create", "serviceaccount", name)
	token := rest.CopyConfig(w.cluster.Config)
	token.BearerToken = strings.TrimSpace(w.kubectl("create", "token", name))
	return []string{"--kubeconfig", kubeconfigOf(w.T, token)}
}

// kubeconfigOf is a file with a connection by token.
func kubeconfigOf(t *testing.T, c *rest.Config) string {
	t.Helper()
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["it"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthority: c.CAFile, CertificateAuthorityData: c.CAData, InsecureSkipTLSVerify: c.Insecure}
	cfg.AuthInfos["me"] = &clientcmdapi.AuthInfo{Token: c.BearerToken}
	cfg.Contexts["here"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "me"}
	cfg.CurrentContext = "here"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, clientcmd.WriteToFile(*cfg, file))
	return file
}

// word is a Decision written by hand.
func word(name, more string) string {
	return fmt.Sprintf("apiVersion: sluice.dev/v1alpha1\nkind: Decision\nmetadata: {name: %s}\nspec: {release: shop-1, verb: approve%s}\n", name, more)
}

// TestWordsByHand: what is written past the command line counts no more than what is said by it. Whatever does not count
// is refused with its reason, by the API server where it can know, or on the Decision itself.
func TestWordsByHand(t *testing.T) {
	w, before, load := approved(t)
	r := &v1alpha1.Release{}
	must(t, w.get(r, "shop-1"))
	seen := fmt.Sprintf(", step: %s, planDigest: %q", r.Spec.Plan.Steps[0].Name, r.Spec.PlanDigest)
	bot := w.asAccount("bot")
	w.kubectl("create", "rolebinding", "bot", "--clusterrole=sluice-approver", "--serviceaccount="+w.ns+":bot")
	carol, dave, erin, mallory, nobody := w.as("carol", "sre"), w.as("dave", "sre"), w.as("erin"), w.as("mallory", "dev"), w.as("nobody", "sre")

	for name, tt := range map[string]struct {
		by         []string
		more, says string
	}{
		"for-another":      {mallory, seen + ", user: dave", `a decision can be made in one's own name only`},
		"in-his-groups":    {mallory, seen + ", groups: [sre]", `"mallory" is not in sre`},
		"without-the-verb": {nobody, seen, `forbidden`},
	} {
		if out, err := w.tryKubectl(word(name, tt.more), append([]string{"create", "-f", "-"}, tt.by...)...); err == nil || !strings.Contains(out+err.Error(), tt.says) {
			t.Errorf("%s: %s, %v; want a refusal with %q", name, out, err, tt.says)
		}
	}

	write := func(name, more string, by []string) {
		w.kubectlWith(word(name, more), append([]string{"create", "-f", "-"}, by...)...)
	}
	wants := func(name string, outcome v1alpha1.DecisionOutcome, reason string) {
		until(t, long, name+" is answered", func() error {
			d := &v1alpha1.Decision{}
			if err := w.get(d, name); err != nil {
				return err
			}
			if d.Status.Outcome == "" {
				return fmt.Errorf("no outcome yet")
			}
			if d.Status.Outcome != outcome || d.Status.Reason != reason || d.Status.Message == "" {
				t.Errorf("%s: %+v, want %s: %s", name, d.Status, outcome, reason)
			}
			return nil
		})
	}
	for name, tt := range map[string]struct {
		by           []string
		more, reason string
	}{
		"another-plan":   {dave, strings.Replace(seen, "sha256:", "sha256:00", 1), "PlanMismatch"},
		"no-plan":        {dave, ", step: " + r.Spec.Plan.Steps[0].Name, "PlanDigestMissing"},
		"another-step":   {dave, strings.Replace(seen, "step: "+r.Spec.Plan.Steps[0].Name, "step: "+r.Spec.Plan.Steps[1].Name, 1), "WrongStep"},
		"by-an-account":  {bot, seen, "NotAnApprover"},
		"by-a-developer": {mallory, seen, "NotAnApprover"},
		"by-the-author":  {carol, seen, "SeparationOfDuty"},
	} {
		write(name, tt.more, tt.by)
		wants(name, v1alpha1.DecisionRefused, tt.reason)
	}
	write("first", seen, dave)
	wants("first", v1alpha1.DecisionApplied, "Approved")
	write("once-more", seen, dave)
	wants("once-more", v1alpha1.DecisionRefused, "AlreadyApproved")
	write("second", seen, erin)
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	write("too-late", seen, dave)
	wants("too-late", v1alpha1.DecisionRefused, "ReleaseEnded")
	if out, err := w.tryKubectl("", append([]string{"patch", "decision/once-more", "--type=merge", "-p", `{"spec":{"verb":"abort"}}`}, dave...)...); err == nil {
		t.Errorf("a Decision was changed: %s", out)
	}
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}
