package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/window"
)

// Problem is one thing wrong with a manifest.
type Problem struct {
	File string
	// Line in the file, from 1; 0 where it is not known.
	Line int
	// Object is "rollout/shop".
	Object string
	// Field is the path of the field, as "spec.canary.steps[1].weight"; empty for the object as a whole.
	Field string
	// Message says what is wrong, and what to do.
	Message string
}

func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
	}
	for _, part := range []string{p.Object, p.Field, p.Message} {
		if part != "" {
			s += ": " + part
		}
	}
	return s
}

// Report is what a set of manifests comes to.
type Report struct {
	Problems []Problem
	// Rollouts, Deployments and analysis templates in the manifests; those with problems are among them only if they
	// could be read. A ClusterAnalysisTemplate is an AnalysisTemplate without a namespace, and of its own list.
	Rollouts         []v1alpha1.Rollout
	Deployments      []appsv1.Deployment
	Templates        []v1alpha1.AnalysisTemplate
	ClusterTemplates []v1alpha1.AnalysisTemplate
	// objects are all of others in the manifests, those of traffic layers among them; services the Services.
	objects  []*unstructured.Unstructured
	services []corev1.Service
	// Notes are what somebody has to see to in the cluster.
	Notes []string
	// Checked counts the objects of Sluice's.
	Checked int
	// Layers are the kinds of traffic layers, to check what can be checked without the team's objects; nil: nothing
	// can.
	Layers translate.LayerKinds
	// documents of the Rollouts, at the same places as in Rollouts, to find lines in.
	documents []*document
}

// document is one object of a file.
type document struct {
	file   string
	node   *yaml.Node
	object map[string]any
}

// Add checks one file, which may hold several documents. What is wrong with them goes to Problems; the error is only
// for Sluice's own CRDs, if they cannot be read. YAML that cannot be parsed ends the file, since nobody knows where
// the next document would begin.
func (r *Report) Add(file string, data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			r.Problems = append(r.Problems, Problem{File: file, Message: strings.TrimPrefix(err.Error(), "yaml: ")})
			return nil
		}
		if err := r.document(file, &node); err != nil {
			return err
		}
	}
}

// document checks one object, or each of a List, as `kubectl get -o yaml` writes it. An empty document is nothing: it
// stands between two "---" that a template engine has left.
func (r *Report) document(file string, node *yaml.Node) error {
	d := &document{file: file, node: node}
	if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
		return nil
	}
	if err := d.decode(); err != nil {
		r.Problems = append(r.Problems, Problem{File: file, Line: node.Line, Message: err.Error()})
		return nil
	}
	if items, ok := d.object["items"].([]any); ok && strings.HasSuffix(d.kind(), "List") {
		for i := range items {
			if item := find(d.node.Content[0], fmt.Sprintf("items[%d]", i)); item != nil {
				if err := r.document(file, &yaml.Node{
					Kind: yaml.DocumentNode, Content: []*yaml.Node{item},
					Line: item.Line,
				}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return r.check(d)
}

// decode reads the document as the API server would read its JSON: whole numbers become int64, which the schema's
// check tells from float64.
func (d *document) decode() error {
	var v any
	if err := d.node.Decode(&v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("this is no JSON object: %w", err)
	}
	if err := utiljson.Unmarshal(raw, &d.object); err != nil {
		return errors.New("this is no Kubernetes object: a mapping with apiVersion and kind is wanted")
	}
	return nil
}

func (d *document) kind() string       { return text(d.object["kind"]) }
func (d *document) apiVersion() string { return text(d.object["apiVersion"]) }

func (d *document) metadata(field string) string {
	m, _ := d.object["metadata"].(map[string]any)
	return text(m[field])
}

func (d *document) name() string {
	if n := d.metadata("name"); n != "" {
		return strings.ToLower(d.kind()) + "/" + n
	}
	return strings.ToLower(d.kind())
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// problem at a field of the document.
func (d *document) problem(field, message string) Problem {
	return Problem{File: d.file, Line: line(d.node, field), Object: d.name(), Field: field, Message: message}
}

func (r *Report) check(d *document) error {
	group, version, _ := strings.Cut(d.apiVersion(), "/")
	switch {
	case d.kind() == "" || d.apiVersion() == "":
		r.Problems = append(r.Problems, d.problem("", "apiVersion or kind is missing: every Kubernetes object names both"))
	case group == v1alpha1.GroupVersion.Group:
		r.Checked++
		return r.checkOurs(d, version)
	default:
		r.keepTeams(d)
	}
	return nil
}

// keepTeams keeps those of the team's objects that a Rollout is looked at with. One that cannot be read is left out
// without a word: lint speaks of Sluice's kinds, and the API server will refuse the others. A core object's
// apiVersion is "v1", without a group; so "v1" stands in the group's place.
func (r *Report) keepTeams(d *document) {
	group, _, _ := strings.Cut(d.apiVersion(), "/")
	convert := runtime.DefaultUnstructuredConverter.FromUnstructured
	switch group + "/" + d.kind() {
	case "apps/Deployment":
		var found appsv1.Deployment
		if convert(d.object, &found) == nil {
			r.Deployments = append(r.Deployments, found)
		}
	case "v1/Service":
		var found corev1.Service
		if convert(d.object, &found) == nil {
			r.services = append(r.services, found)
		}
	}
	r.objects = append(r.objects, &unstructured.Unstructured{Object: d.object})
}

// checkOurs holds an object against its schema, and then against the rules of its kind that no schema can tell. Those
// that rely on the object's shape are asked only where the schema found no problem.
func (r *Report) checkOurs(d *document, version string) error {
	s, err := schemaOf(d.kind(), version)
	if err != nil {
		return err
	}
	if s == nil {
		r.Problems = append(r.Problems, d.problem("kind", fmt.Sprintf(
			"Sluice has no kind %s in %s; it has %s in %s", d.kind(), d.apiVersion(), strings.Join(kinds(), ", "),
			v1alpha1.GroupVersion)))
		return nil
	}
	problems := s.check(d)
	r.Problems = append(r.Problems, problems...)
	switch d.kind() {
	case "Rollout":
		var rollout v1alpha1.Rollout
		if r.read(d, &rollout, problems) {
			r.keepRollout(d, rollout, len(problems) == 0)
		}
	case "AnalysisTemplate", "ClusterAnalysisTemplate":
		var template v1alpha1.AnalysisTemplate
		if r.read(d, &template, problems) {
			r.keepTemplate(d, template, len(problems) == 0)
		}
	case "ReleaseWindow":
		var w v1alpha1.ReleaseWindow
		if r.read(d, &w, problems) && len(problems) == 0 {
			r.tell(d, window.Check(w.Spec)...)
		}
	case "Notifier":
		var n v1alpha1.Notifier
		if r.read(d, &n, problems) && len(problems) == 0 {
			r.tell(d, checkNotifier(n.Spec)...)
		}
	}
	return nil
}

// tell adds problems whose texts begin with the field, as "spec.selector: ...". Other texts are of the object as a
// whole.
func (r *Report) tell(d *document, errs ...error) {
	for _, err := range errs {
		field, message, found := strings.Cut(err.Error(), ": ")
		if !found || !strings.HasPrefix(field, "spec.") {
			field, message = "", err.Error()
		}
		r.Problems = append(r.Problems, d.problem(field, message))
	}
}

func checkNotifier(s v1alpha1.NotifierSpec) []error {
	var out []error
	if _, err := metav1.LabelSelectorAsSelector(s.Selector); err != nil {
		out = append(out, fmt.Errorf("spec.selector: %w", err))
	}
	if s.Template != "" {
		if _, err := notify.TryTemplate(s.Template); err != nil {
			out = append(out, err)
		}
	}
	return out
}

// read turns the document into an object. What cannot be read is a problem, unless the schema has told it already.
func (r *Report) read(d *document, into any, problems []Problem) bool {
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.object, into)
	if err != nil && len(problems) == 0 {
		r.Problems = append(r.Problems, d.problem("", err.Error()))
	}
	return err == nil
}

// keepRollout keeps the Rollout even with problems, so that checkTwice finds it for those that come later.
func (r *Report) keepRollout(d *document, rollout v1alpha1.Rollout, sound bool) {
	if sound {
		r.Problems = append(r.Problems, r.checkPlan(d, &rollout)...)
	}
	r.Problems = append(r.Problems, r.checkTwice(d, &rollout)...)
	r.Rollouts, r.documents = append(r.Rollouts, rollout), append(r.documents, d)
}

func (r *Report) keepTemplate(d *document, template v1alpha1.AnalysisTemplate, sound bool) {
	if sound {
		for _, p := range measure.CheckTemplate(template.Spec) {
			r.Problems = append(r.Problems, d.problem(p.Field, p.Message))
		}
	}
	if d.kind() == "ClusterAnalysisTemplate" {
		r.ClusterTemplates = append(r.ClusterTemplates, template)
		return
	}
	r.Templates = append(r.Templates, template)
}

// checkTwice finds two Rollouts for one workload. The one that is read later gets the problem. Two of the same name
// are no such pair: they are one Rollout, which kubectl apply writes twice.
func (r *Report) checkTwice(d *document, rollout *v1alpha1.Rollout) []Problem {
	for _, other := range r.Rollouts {
		if other.Namespace == rollout.Namespace && other.Name != rollout.Name &&
			other.Spec.Workload.Name == rollout.Spec.Workload.Name {
			return []Problem{d.problem("spec.workload.name", fmt.Sprintf(
				"rollout/%s names deployment/%s too; one workload may be named by one Rollout only", other.Name,
				other.Spec.Workload.Name))}
		}
	}
	return nil
}
