package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/discovery"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// secretValue is in no other text in the world.
const secretValue = "Zq7SecretOfThisTestOnlyXv9Kp2"

// spellings are the forms in which it may show: as it is, and within any text in base64.
func spellings() []string {
	out := []string{secretValue}
	for pad := range 3 {
		// The first and the last characters depend on what stands before and after.
		whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", pad) + secretValue))
		whole = strings.TrimRight(whole, "=")
		out = append(out, whole[4:len(whole)-3])
	}
	return out
}

// betrayer is a server that answers with all that it was sent, and counts the requests that had the secret.
type betrayer struct {
	mu    sync.Mutex
	heard map[string]int
}

func (b *betrayer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	all := fmt.Sprintf("%s %s %s", r.RequestURI, r.Header, body)
	kind := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")[0]
	told := false
	for _, s := range spellings() {
		told = told || strings.Contains(all, s)
	}
	if told {
		b.mu.Lock()
		b.heard[kind]++
		b.mu.Unlock()
	}
	w.Header().Set("X-You-Sent", r.Header.Get("Authorization"))
	switch kind {
	case "good":
		fmt.Fprintf(w, `{"rate": 0, "%s": ["%s"], "you sent": %q}`, secretValue, secretValue, all)
	case "unauthorized", "denied", "slack":
		w.Header().Set("WWW-Authenticate", "Bearer error="+secretValue)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": %q}`, all)
	case "redirect":
		http.Redirect(w, r, "/denied/"+secretValue+"?token="+secretValue, http.StatusFound)
	case "away", "moved":
		http.Redirect(w, r, "http://"+strings.ToLower(secretValue)+".example.com/"+secretValue, http.StatusTemporaryRedirect)
	case "malformed":
		fmt.Fprintf(w, `{"rate": %s`, secretValue)
	case "unclear":
		fmt.Fprintf(w, `{"rate": "%s"}`, secretValue)
	case "plugin":
		fmt.Fprintf(w, `{"error": "the token %s is not known"}`, secretValue)
	case "prometheus":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"status": "error", "errorType": "bad_data", "error": "no such token: %s"}`, secretValue)
	case "hang-up":
		panic(http.ErrAbortHandler)
	default: // sinks
		fmt.Fprint(w, "ok")
	}
}

// leak is one way in which a measurement goes on with a secret in it, and what comes of it.
type leak struct {
	name, provider string
	condition      string
	// waits: the release asks a person; ends: it ends so.
	ends v1alpha1.ReleasePhase
	// unheard: the source is never told the secret.
	unheard bool
}

const bearer = `connection: {bearerToken: {name: all, key: token}}`

func leaks(server, encrypted, closed string) []leak {
	at := func(name, more string) string { return fmt.Sprintf(`http: {url: "%s/%s", %s}`, server, name, more) }
	job := func(code int) string {
		return fmt.Sprintf(`job: {containers: [{name: check, image: "sluice.dev/demo:crash", env: [{name: EXIT_CODE, value: "%d"}, {name: TOKEN, secret: {name: all, key: token}}]}]}`, code)
	}
	return []leak{
		{name: "good", provider: at("good", bearer), condition: "result.rate < 1.0", ends: v1alpha1.ReleaseSucceeded},
		{name: "unauthorized", provider: at("unauthorized", bearer)},
		{name: "tls", provider: fmt.Sprintf(`http: {url: "%s/tls", %s}`, encrypted, bearer), unheard: true},
		{name: "closed", provider: fmt.Sprintf(`http: {url: "%s/closed", %s}`, closed, bearer), unheard: true},
		{name: "redirect", provider: at("redirect", bearer)},
		{name: "away", provider: at("away", bearer)},
		{name: "malformed", provider: at("malformed", bearer)},
		{name: "unclear", provider: at("unclear", `jsonPath: "{.rate}", `+bearer)},
		{name: "hang-up", provider: at("hang-up", bearer)},
		{name: "basic", provider: at("unauthorized", `connection: {basicAuth: {name: all}}`)},
		{name: "header", provider: at("unauthorized", `connection: {headers: [{name: X-Token, secret: {name: all, key: token}}]}`)},
		{name: "ca", provider: at("ca", `connection: {ca: {name: all, key: token}}`), unheard: true},
		{name: "missing", provider: at("missing", `connection: {bearerToken: {name: all, key: tokens}}`), unheard: true},
		{name: "plugin", provider: fmt.Sprintf(`plugin: {url: "%s/plugin", %s}`, server, bearer)},
		{name: "prometheus", provider: fmt.Sprintf(`prometheus: {address: "%s/prometheus", query: up, %s}`, server, bearer)},
		{name: "job-good", provider: job(0), condition: "none", ends: v1alpha1.ReleaseSucceeded, unheard: true},
		{name: "job-bad", provider: job(1), condition: "none", ends: v1alpha1.ReleaseAborted, unheard: true},
	}
}

func (l leak) template() string {
	condition := l.condition
	switch condition {
	case "":
		condition = "successCondition: value < 1.0"
	case "none":
		condition = "failureLimit: 0"
	default:
		condition = "successCondition: " + condition
	}
	return fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: %s}
spec: {metrics: [{name: it, consecutiveErrorLimit: 0, %s, provider: {%s}}]}
---
`, l.name, condition, l.provider)
}

// secrets are all in one Secret. Each sink's address has the secret in its path, as Slack's have.
func secrets(server, encrypted, closed string) (manifests string, sinks []string) {
	manifests = fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: all}\nstringData:\n  token: %[1]s\n  username: ann\n  password: %[1]s\n", secretValue)
	hosts := map[string]string{"chat": server, "denied": server, "moved": server, "hang-up": server, "slack": server, "shut": closed, "sealed": encrypted}
	for name, host := range hosts {
		manifests += fmt.Sprintf("  %s: %s/%s/services/%s?key=%s\n", name, host, name, secretValue, secretValue)
		sinks = append(sinks, name)
	}
	slices.Sort(sinks)
	for _, name := range sinks {
		sink := fmt.Sprintf("webhook: {url: {name: all, key: %s}, signingKey: {name: all, key: token}, authorization: {name: all, key: token}}", name)
		if name == "slack" {
			sink = "slack: {url: {name: all, key: slack}}"
		}
		manifests += fmt.Sprintf("---\napiVersion: sluice.dev/v1alpha1\nkind: Notifier\nmetadata: {name: %s}\nspec: {sink: {%s}}\n", name, sink)
	}
	return manifests + "---\n", sinks
}

// everything that a process says.
type everything struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (e *everything) Write(data []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.data.Write(data)
}

// TestSecretsShowNowhere: whatever comes of a measurement or a message that a Secret's content went into, no object of the
// cluster has it but the Secret, nor has the controller's log at its most verbose.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	c := alone(t)
	said := &everything{}
	controller, err := startController(c.Kubeconfig, said, "--verbosity", "10", "--metric-hosts", "127.0.0.1", "--notify-hosts", "127.0.0.1", "--metric-hosts-loopback")
	must(t, err)
	t.Cleanup(controller.stop)
	w := worldIn(t, c)
	w.lendRights()
	told := &betrayer{heard: map[string]int{}}
	server, closed, encrypted := httptest.NewServer(told), httptest.NewServer(told), httptest.NewUnstartedServer(told)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // It would tell of the handshakes that are to fail.
	encrypted.StartTLS()
	closed.Close()
	t.Cleanup(server.Close)
	t.Cleanup(encrypted.Close)

	manifests, sinks := secrets(server.URL, encrypted.URL, closed.URL)
	var names []string
	all := leaks(server.URL, encrypted.URL, closed.URL)
	for _, l := range all {
		manifests += l.template() + small(l.name, l.name)
		names = append(names, l.name)
	}
	w.startSmall(manifests)
	w.releaseSmall(names...)
	for _, l := range all {
		w.comesTo(l)
	}
	w.sinksHaveTried(sinks)
	told.heardOf(t, all, sinks)
	w.eventsTell("401")
	w.searched()
	controller.stop()
	log := said.data.String()
	if !strings.Contains(log, `"DEBUG`) || !strings.Contains(log, w.ns) {
		t.Errorf("the log is not verbose; it has %d bytes", len(log))
	}
	t.Logf("the log has %d bytes, and %d lines for debugging", len(log), strings.Count(log, `"DEBUG`))
	for line := range strings.Lines(log) {
		showsNot(t, "the log", line)
	}
}

// comesTo waits until a measurement has come to what it is to come to.
func (w *world) comesTo(l leak) {
	w.Helper()
	if l.ends != "" {
		w.ended(l.name+"-1", l.ends)
		return
	}
	w.waitsFor(l.name+"-1", release.ReasonAnalysisUnclear)
}

// sinksHaveTried waits until each Notifier has delivered something, or says why not.
func (w *world) sinksHaveTried(sinks []string) {
	w.Helper()
	for _, name := range sinks {
		until(w, long, "the Notifier "+name+" says what came of its messages", func() error {
			n := &v1alpha1.Notifier{}
			if err := w.get(n, name); err != nil {
				return err
			}
			if s := n.Status; name == "chat" && s.Delivered == 0 || name != "chat" && s.LastError == "" {
				return fmt.Errorf("its status is %+v", s)
			}
			return nil
		})
	}
}

// heardOf has the test fail unless the secret truly was on its way.
func (b *betrayer) heardOf(t *testing.T, all []leak, sinks []string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range all {
		if kind := strings.NewReplacer("basic", "unauthorized", "header", "unauthorized").Replace(l.name); !l.unheard && b.heard[kind] == 0 {
			t.Errorf("%s: the source was not sent the secret: %v", l.name, b.heard)
		}
	}
	for _, name := range sinks {
		if name != "shut" && name != "sealed" && b.heard[name] == 0 {
			t.Errorf("%s: the sink was not sent the secret: %v", name, b.heard)
		}
	}
}

// eventsTell waits until an Event has some words, so that those before it are written.
func (w *world) eventsTell(words string) {
	w.Helper()
	until(w, short, "an Event tells of "+words, func() error {
		if out := w.kubectl("get", "events.events.k8s.io", "-o", "yaml"); !strings.Contains(out, words) {
			return fmt.Errorf("the Events are %s", out[:min(len(out), 2000)])
		}
		return nil
	})
}

// searched looks through every object of every kind that can be listed, as the API server gives it.
func (w *world) searched() {
	w.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(w.cluster.Config)
	must(w, err)
	groups, err := d.ServerPreferredResources()
	must(w, err)
	looked := map[string]int{}
	for _, g := range groups {
		for _, kind := range g.APIResources {
			if !slices.Contains([]string(kind.Verbs), "list") {
				continue
			}
			path := "/apis/" + g.GroupVersion + "/" + kind.Name
			if g.GroupVersion == "v1" {
				path = "/api/v1/" + kind.Name
			}
			raw, err := d.RESTClient().Get().AbsPath(path).DoRaw(w.Context())
			must(w, err)
			looked[kind.Name] = bytes.Count(raw, []byte(`"uid":`))
			if kind.Name != "secrets" {
				showsNot(w, path, string(raw))
			} else if !shows(string(raw)) {
				w.Error("the Secret itself was not found: the search finds nothing")
			}
		}
	}
	for _, kind := range []string{"rollouts", "releases", "analysisruns", "analysistemplates", "notifiers", "jobs", "events", "pods"} {
		if looked[kind] == 0 {
			w.Errorf("there were no %s to look at: %v", kind, looked)
		}
	}
	for _, kind := range []string{"holds", "decisions", "releasewindows", "clusteranalysistemplates"} {
		if _, ok := looked[kind]; !ok {
			w.Errorf("%s were not looked at", kind)
		}
	}
}

func shows(text string) bool {
	return slices.ContainsFunc(spellings(), func(s string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(s))
	})
}

func showsNot(t testing.TB, where, text string) {
	t.Helper()
	if shows(text) {
		at := strings.Index(strings.ToLower(text), strings.ToLower(secretValue))
		t.Errorf("%s has the Secret's content: %q", where, text[max(0, at-500):min(len(text), max(0, at)+300)])
	}
}
