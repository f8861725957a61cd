package admission_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// This file finds every place in the kinds where a Secret can be named, so that a new one cannot be forgotten by the
// policies: it fails their tests until it is looked at.

// place is a field that names a Secret: the Go fields on the way to it, from some struct on.
type place []reflect.StructField

var references = []reflect.Type{reflect.TypeFor[v1alpha1.SecretReference](), reflect.TypeFor[v1alpha1.SecretKeyReference]()}

// places finds all of a type. No type of the API holds itself, so that the search ends.
func places(t reflect.Type) []place {
	t = element(t)
	if slices.Contains(references, t) {
		return []place{nil}
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var found []place
	for i := range t.NumField() {
		field := t.Field(i)
		for _, rest := range places(field.Type) {
			found = append(found, append(place{field}, rest...))
		}
	}
	return found
}

// element is what a pointer, a list or a map holds.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

// String is the path as the policies tell it. Everything that has a name is named x.
func (p place) String() string {
	var parts []string
	for _, field := range p {
		name := jsonName(field)
		if field.Type.Kind() == reflect.Slice {
			name += "[x]"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ".")
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// fill makes a value that names this Secret in this place, with all that is required besides; where that is a Secret, it
// is "ours".
func (p place) fill(v reflect.Value, secret string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		p.fill(v.Elem(), secret)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		p.fill(v.Index(0), secret)
	case reflect.String:
		v.SetString("xxx") // long enough for a mail address
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch {
			case len(p) > 0 && field.Name == p[0].Name:
				p[1:].fill(v.Field(i), secret)
			case field.Name == "Name" && slices.Contains(references, v.Type()):
				v.Field(i).SetString(secret)
			case field.Name == "Name":
				v.Field(i).SetString("x")
			case (field.Name == "URL" || field.Name == "Address") && field.Type.Kind() == reflect.String:
				v.Field(i).SetString("http://x")
			case !strings.Contains(field.Tag.Get("json"), "omit"):
				place(nil).fill(v.Field(i), "ours")
			}
		}
	}
}

// object is one of this kind whose spec, of this type, names this Secret in this place.
func (p place) object(t *testing.T, kind string, spec reflect.Type, secret string) *unstructured.Unstructured {
	t.Helper()
	value := reflect.New(spec)
	p.fill(value, secret)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(value.Interface())
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": content}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName("x")
	return object
}

// TestKindsThatNameSecrets: a Secret can be named only in the kinds whose authors the policies look at.
func TestKindsThatNameSecrets(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var found []string
	for kind, typ := range scheme.KnownTypes(v1alpha1.GroupVersion) {
		if !strings.HasSuffix(kind, "List") && len(places(typ)) > 0 {
			found = append(found, kind)
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff([]string{"AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate", "Notifier"}, found); diff != "" {
		t.Errorf("kinds that name Secrets (-looked at by policies +found):\n%s", diff)
	}
}

// TestPlaces: the search finds what there is to find.
func TestPlaces(t *testing.T) {
	var found []string
	for _, p := range places(reflect.TypeFor[v1alpha1.AnalysisTemplateSpec]()) {
		found = append(found, p.String())
	}
	for _, want := range []string{
		"metrics[x].provider.prometheus.connection.bearerToken", "metrics[x].provider.http.connection.headers[x].secret", "metrics[x].provider.plugin.connection.clientCertificate",
		"metrics[x].provider.datadog.secret", "metrics[x].provider.influxDB.token", "metrics[x].provider.job.containers[x].env[x].secret",
	} {
		if !slices.Contains(found, want) {
			t.Errorf("%s not found in %q", want, found)
		}
	}
	if len(found) < 29 {
		t.Errorf("only %d places found: %q", len(found), found)
	}
	var sinks []string
	for _, p := range places(reflect.TypeFor[v1alpha1.NotifierSpec]()) {
		sinks = append(sinks, p.String())
	}
	if !slices.Contains(sinks, "sink.webhook.signingKey") || !slices.Contains(sinks, "sink.email.auth") || len(sinks) < 12 {
		t.Errorf("places of a Notifier: %q", sinks)
	}
}
