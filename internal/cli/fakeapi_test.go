package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// fakeAPI is as much of an API server as the command line needs, over real HTTP: get, list, watch (from the present,
// from a version, and with initial events), create, patch. Decisions are answered by answers, as a controller would.
type fakeAPI struct {
	*httptest.Server
	mu      sync.Mutex
	version int
	objects map[string]*unstructured.Unstructured
	events  []fakeEvent
	changed chan struct{}
	// answers by verb; a verb that has none is never answered.
	answers map[string]map[string]any
	// follows are objects that a decision of this verb leads to.
	follows map[string]*unstructured.Unstructured
	// forbidden resources, by "verb resource".
	forbidden []string
	// absent are resources that this API server does not know.
	absent []string
	// watched gets the resource of each watch that has begun.
	watched chan string
	user    string
}

type fakeEvent struct {
	version    int
	collection string
	kind       string
	object     *unstructured.Unstructured
}

// plurals of the kinds that there are.
var plurals = map[string]string{
	"Rollout": "rollouts", "Release": "releases", "Hold": "holds", "Decision": "decisions", "Deployment": "deployments",
	"ReplicaSet": "replicasets", "Pod": "pods", "Service": "services", "Ingress": "ingresses", "HTTPRoute": "httproutes",
	"AnalysisRun": "analysisruns", "AnalysisTemplate": "analysistemplates", "EndpointSlice": "endpointslices", "ReleaseWindow": "releasewindows",
	"IngressClass": "ingressclasses",
}

func newFakeAPI() *fakeAPI {
	a := &fakeAPI{
		objects: map[string]*unstructured.Unstructured{}, changed: make(chan struct{}), user: "alice",
		answers: map[string]map[string]any{}, follows: map[string]*unstructured.Unstructured{}, watched: make(chan string, 100),
	}
	a.Server = httptest.NewServer(a)
	return a
}

// kubeconfig writes one that leads here.
func (a *fakeAPI) kubeconfig(dir string) (string, error) {
	name := filepath.Join(dir, "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: fake, cluster: {server: %q}}]
contexts: [{name: fake, context: {cluster: fake, namespace: demo, user: fake}}]
users: [{name: fake, user: {token: secret}}]
current-context: fake
`, a.URL)
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// load puts the objects of manifests in, or replaces them.
func (a *fakeAPI) load(data []byte) error {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(data)), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(&u.Object); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
		if len(u.Object) == 0 {
			continue
		}
		if u.GetNamespace() == "" && u.GetKind() != "IngressClass" {
			u.SetNamespace("demo")
		}
		if plurals[u.GetKind()] == "" {
			return fmt.Errorf("the fake has no kind %s", u.GetKind())
		}
		a.mu.Lock()
		a.put(u)
		a.mu.Unlock()
	}
}

func collectionOf(u *unstructured.Unstructured) string {
	prefix := "/apis/" + u.GetAPIVersion()
	if !strings.Contains(u.GetAPIVersion(), "/") {
		prefix = "/api/" + u.GetAPIVersion()
	}
	return prefix + "/" + plurals[u.GetKind()]
}

func keyOf(u *unstructured.Unstructured) string {
	return collectionOf(u) + " " + u.GetNamespace() + "/" + u.GetName()
}

// put stores an object and tells the watchers. The caller holds the lock.
func (a *fakeAPI) put(u *unstructured.Unstructured) {
	a.version++
	kind := "MODIFIED"
	if a.objects[keyOf(u)] == nil {
		kind = "ADDED"
		u.SetUID(types.UID(strings.ToLower(u.GetKind()) + "-" + u.GetName()))
	}
	u.SetResourceVersion(strconv.Itoa(a.version))
	a.objects[keyOf(u)] = u
	a.events = append(a.events, fakeEvent{a.version, collectionOf(u), kind, u.DeepCopy()})
	close(a.changed)
	a.changed = make(chan struct{})
}

// request is one request taken apart.
type request struct {
	collection, namespace, name string
}

func parse(path string) request {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	n := 2
	if parts[0] == "apis" {
		n = 3
	}
	prefix, rest := "/"+strings.Join(parts[:n], "/"), parts[n:]
	r := request{}
	if len(rest) > 2 && rest[0] == "namespaces" {
		r.namespace, rest = rest[1], rest[2:]
	}
	r.collection = prefix + "/" + rest[0]
	if len(rest) > 1 {
		r.name = rest[1]
	}
	return r
}

func (r request) resource() string { return r.collection[strings.LastIndex(r.collection, "/")+1:] }

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r := parse(req.URL.Path)
	verb := strings.ToLower(req.Method)
	a.mu.Lock()
	absent := slices.Contains(a.absent, r.resource())
	forbidden := slices.Contains(a.forbidden, verb+" "+r.resource())
	a.mu.Unlock()
	switch {
	case absent:
		http.Error(w, "404 page not found", http.StatusNotFound)
	case forbidden:
		refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden,
			fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in the namespace %q", r.resource(), a.user, verb, r.resource(), r.namespace))
	case verb == "post":
		a.create(w, req, r)
	case verb == "patch":
		a.patch(w, req, r)
	case r.name != "":
		a.get(w, r)
	case req.URL.Query().Get("watch") != "":
		a.watch(w, req, r)
	default:
		a.list(w, req, r)
	}
}

func (a *fakeAPI) get(w http.ResponseWriter, r request) {
	a.mu.Lock()
	u := a.objects[r.collection+" "+r.namespace+"/"+r.name]
	a.mu.Unlock()
	if u == nil {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", r.resource(), r.name))
		return
	}
	answer(w, http.StatusOK, u.Object)
}

// matching objects of a collection, in order of name. The caller holds the lock.
func (a *fakeAPI) matching(req *http.Request, r request) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, u := range a.objects {
		if collectionOf(u) == r.collection && wanted(req, r, u) {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(x, y *unstructured.Unstructured) int { return strings.Compare(keyOf(x), keyOf(y)) })
	return out
}

func wanted(req *http.Request, r request, u *unstructured.Unstructured) bool {
	selector, err := labels.Parse(req.URL.Query().Get("labelSelector"))
	name, isName := strings.CutPrefix(req.URL.Query().Get("fieldSelector"), "metadata.name=")
	return err == nil && selector.Matches(labels.Set(u.GetLabels())) &&
		(r.namespace == "" || u.GetNamespace() == r.namespace) && (!isName || u.GetName() == name)
}

func (a *fakeAPI) list(w http.ResponseWriter, req *http.Request, r request) {
	a.mu.Lock()
	items := []any{}
	kind := ""
	for _, u := range a.matching(req, r) {
		items = append(items, u.DeepCopy().Object)
	}
	for k, plural := range plurals {
		if plural == r.resource() {
			kind = k + "List"
		}
	}
	version := strconv.Itoa(a.version)
	a.mu.Unlock()
	groupVersion := strings.TrimPrefix(strings.TrimPrefix(r.collection, "/apis/"), "/api/")
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": strings.TrimSuffix(groupVersion, "/"+r.resource()), "kind": kind,
		"metadata": map[string]any{"resourceVersion": version}, "items": items,
	})
}

// watch sends what there is, unless the request names a version to begin after, and then every change.
func (a *fakeAPI) watch(w http.ResponseWriter, req *http.Request, r request) {
	q := req.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	emit := func(kind string, object any) {
		raw, _ := json.Marshal(map[string]any{"type": kind, "object": object})
		_, _ = w.Write(append(raw, '\n'))
		w.(http.Flusher).Flush()
	}
	a.mu.Lock()
	seen := a.version
	if v := q.Get("resourceVersion"); v != "" && v != "0" && q.Get("sendInitialEvents") == "" {
		seen, _ = strconv.Atoi(v)
	} else {
		for _, u := range a.matching(req, r) {
			emit("ADDED", u.Object)
		}
		if q.Get("sendInitialEvents") != "" {
			emit("BOOKMARK", a.bookmark(r))
		}
	}
	select {
	case a.watched <- r.resource():
	default:
	}
	for {
		for _, e := range a.events {
			if e.version > seen && e.collection == r.collection && wanted(req, r, e.object) {
				emit(e.kind, e.object.Object)
			}
		}
		seen = a.version
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-req.Context().Done():
			return
		case <-changed:
		}
		a.mu.Lock()
	}
}

func (a *fakeAPI) bookmark(r request) map[string]any {
	groupVersion := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(r.collection, "/apis/"), "/api/"), "/"+r.resource())
	kind := ""
	for k, plural := range plurals {
		if plural == r.resource() {
			kind = k
		}
	}
	return map[string]any{"apiVersion": groupVersion, "kind": kind, "metadata": map[string]any{
		"resourceVersion": strconv.Itoa(a.version), "annotations": map[string]any{metav1.InitialEventsAnnotationKey: "true"},
	}}
}

func (a *fakeAPI) create(w http.ResponseWriter, req *http.Request, r request) {
	if r.resource() == "selfsubjectreviews" {
		answer(w, http.StatusCreated, map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
			"status": map[string]any{"userInfo": map[string]any{"username": a.user, "groups": []any{"sre", "system:authenticated"}}},
		})
		return
	}
	if r.resource() == "selfsubjectaccessreviews" {
		a.review(w, req)
		return
	}
	u := &unstructured.Unstructured{}
	if err := json.NewDecoder(req.Body).Decode(&u.Object); err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if u.GetName() == "" {
		u.SetName(u.GetGenerateName() + strconv.Itoa(a.version+1))
	}
	u.SetNamespace(r.namespace)
	a.put(u)
	answer(w, http.StatusCreated, u.Object)
	verb, _, _ := unstructured.NestedString(u.Object, "spec", "verb")
	if status := a.answers[verb]; status != nil {
		answered := u.DeepCopy()
		answered.Object["status"] = status
		a.put(answered)
	}
	if o := a.follows[verb]; o != nil {
		a.put(o.DeepCopy())
	}
}

// review says whether the user may do what he asks about. The question comes as protobuf, in which strings stand as they
// are.
func (a *fakeAPI) review(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	allowed := !slices.ContainsFunc(a.forbidden, func(f string) bool {
		verb, resource, _ := strings.Cut(f, " ")
		return strings.Contains(string(body), verb) && strings.Contains(string(body), resource)
	})
	answer(w, http.StatusCreated, map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": map[string]any{},
		"status": map[string]any{"allowed": allowed},
	})
}

func (a *fakeAPI) patch(w http.ResponseWriter, req *http.Request, r request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.objects[r.collection+" "+r.namespace+"/"+r.name]
	if u == nil || r.resource() != "deployments" {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", r.resource(), r.name))
		return
	}
	var body json.RawMessage
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	before, _ := json.Marshal(u.Object)
	after, err := strategicpatch.StrategicMergePatch(before, body, appsv1.Deployment{})
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	patched := &unstructured.Unstructured{}
	if err := json.Unmarshal(after, &patched.Object); err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if patched.GetLabels()["sluice.dev/rollout"] != "" { // The admission policy holds the change.
		_ = unstructured.SetNestedField(patched.Object, true, "spec", "paused")
	}
	a.put(patched)
	answer(w, http.StatusOK, patched.Object)
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	answer(w, code, map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": string(reason), "message": message, "code": code,
	})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// startAPI starts one for the length of a test.
func startAPI(t *testing.T, files ...string) *fakeAPI {
	t.Helper()
	a := newFakeAPI()
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join("testdata", "objects", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.load(data); err != nil {
			t.Fatalf("load %s: %v", f, err)
		}
	}
	config, err := a.kubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", config)
	return a
}

// awaitWatch waits until somebody watches the resource.
func (a *fakeAPI) awaitWatch(t *testing.T, resource string) {
	t.Helper()
	for {
		select {
		case got := <-a.watched:
			if got == resource {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody watches %s", resource)
		}
	}
}
