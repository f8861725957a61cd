package workload

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/podtemplate"
)

// RecordKind is the kind of a kept pod template: Kubernetes' own for this. Who may read Deployments may read it, and
// nobody else; the roles edit and admin do not write it.
var RecordKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ControllerRevision"}

// RecordName is the name under which a Rollout keeps the template with this hash. 16 digits tell those of one Rollout
// apart by far.
func RecordName(rollout, hash string) string { return rollout + "-" + hash[:min(len(hash), 16)] }

// source is a place where the pod template of a revision may be.
type source struct {
	ref  Ref
	path []string
}

// TemplateOfRevision is the whole pod template of a revision: from the part that runs it or ran it, or else from the
// workload that asks for it, or from the record. Wherever it is from, its hash is the revision's, or the error is
// ErrNoTemplate. It needs the objects one after the other.
func (w World) TemplateOfRevision(parts []Part, rev *v1alpha1.Revision) (map[string]any, []Need, error) {
	if rev == nil || rev.Hash == "" {
		return nil, nil, ErrNoTemplate
	}
	var sources []source
	if p := Find(parts, rev); p != nil {
		sources = append(sources, source{RefOf(p.Object), []string{"spec", "template"}})
	}
	if w.Object != nil && TemplateOf(w.Object).Hash == rev.Hash {
		sources = append(sources, source{RefOf(w.Object), []string{"spec", "template"}})
	}
	sources = append(sources, source{
		Ref{RecordKind, RecordName(w.Rollout.Name, rev.Hash)}, []string{"data", "spec", "template"},
	})
	for _, s := range sources {
		whole, read := w.Whole[s.ref]
		if !read {
			return nil, []Need{{Ref: s.ref}}, nil
		}
		if whole == nil {
			continue
		}
		template, found, err := unstructured.NestedMap(whole.Object, s.path...)
		if !found || err != nil {
			continue
		}
		podtemplate.Plain(template)
		if podtemplate.Hash(template) == rev.Hash {
			return template, nil, nil
		}
	}
	return nil, nil, ErrNoTemplate
}
