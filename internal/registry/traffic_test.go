package registry

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
)

// TestEveryLayer: each field of a traffic layer in the API has a row here, a name, and its lines in the role of the
// controller, in the policy that asks what an author may do, and in the docs. A new field fails until all are there.
func TestEveryLayer(t *testing.T) {
	role, author, page := read(t, "deploy/rbac/controller.yaml"), read(t, "deploy/policies/rollout-author.yaml"), read(t, "docs/traffic.md")
	fields := reflect.TypeFor[v1alpha1.TrafficLayer]()
	if len(Layers) != fields.NumField() {
		t.Errorf("%d rows for %d fields", len(Layers), fields.NumField())
	}
	for i := range fields.NumField() {
		field, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		l := v1alpha1.TrafficLayer{}
		ref := reflect.New(fields.Field(i).Type.Elem())
		ref.Elem().FieldByName("Name").SetString("shop")
		reflect.ValueOf(&l).Elem().Field(i).Set(ref)
		provider, name := Traffic(l)
		if provider == nil || name != "shop" {
			t.Errorf("%s: provider %v for object %q", field, provider, name)
			continue
		}
		kind := provider.Kind()
		if named := translate.LayerOf(l); named.Field != field || named.Kind != kind.Kind {
			t.Errorf("%s: is called %+v", field, named)
		}
		plural, _ := meta.UnsafeGuessKindToResource(kind)
		if !strings.Contains(role, "apiGroups: ["+plural.Group+"], resources: ["+plural.Resource) {
			t.Errorf("%s: the controller has no right to %s", field, plural.Resource)
		}
		if !strings.Contains(author, "['"+field+"', '"+plural.Group+"', '"+plural.Resource+"'") {
			t.Errorf("%s: the policy rollout-author does not know it", field)
		}
		if !strings.Contains(page, "`"+field+"`") {
			t.Errorf("%s: docs/traffic.md does not tell of it", field)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
