package admission_test

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/sluice-dev/sluice/internal/admission"
)

// served is a cluster that serves these resources of the asked-for group, or answers with an error.
type served struct {
	resources []string
	err       error
}

func (s served) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	if s.err != nil {
		return nil, s.err
	}
	list := &metav1.APIResourceList{}
	for _, name := range s.resources {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
	}
	return list, nil
}

func TestSupported(t *testing.T) {
	lost := errors.New("connection refused")
	for name, test := range map[string]struct {
		cluster served
		want    bool
		err     error
	}{
		"1.36":          {cluster: served{resources: []string{"validatingadmissionpolicies", "mutatingadmissionpolicies"}}, want: true},
		"1.35":          {cluster: served{resources: []string{"validatingadmissionpolicies"}}},
		"without v1":    {cluster: served{err: apierrors.NewNotFound(schema.GroupResource{}, "")}},
		"not reachable": {cluster: served{err: lost}, err: lost},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := admission.Supported(test.cluster)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %v, %v; want %v, %v", got, err, test.want, test.err)
			}
		})
	}
}

// TestSupportedHere asks a real API server.
func TestSupportedHere(t *testing.T) {
	w := newWorld(t)
	client, err := discovery.NewDiscoveryClientForConfig(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := admission.Supported(client); err != nil || !got {
		t.Errorf("got %v, %v; want true", got, err)
	}
}
