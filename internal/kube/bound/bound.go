// Package bound keeps what Sluice writes within the schemas of its own kinds. What people wrote elsewhere (names,
// comments, images, lists of approvers) goes into statuses, and a status that the API server finds invalid is lost as a
// whole: it would stop a release, an abort too. So every status passes here on its way to the API server. It may be
// imported by internal/kube alone.
package bound

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

// schema is one node of an OpenAPI schema, as a CRD has it.
type schema map[string]any

// schemas of Sluice's kinds, by kind. The CRDs are compiled in, and a test reads them: they cannot be wrong at run
// time.
var schemas = sync.OnceValue(func() map[string]schema {
	crds, err := deploy.CRDs()
	if err != nil {
		panic(fmt.Sprintf("the CRDs that are compiled in cannot be read: %v", err))
	}
	out := map[string]schema{}
	for _, crd := range crds {
		spec := schema(crd.Object).child("spec")
		kind, _ := spec.child("names")["kind"].(string)
		for _, v := range spec.list("versions") {
			out[kind] = v.child("schema").child("openAPIV3Schema")
		}
	}
	return out
})

func (s schema) child(name string) schema {
	m, _ := s[name].(map[string]any)
	return m
}

func (s schema) list(name string) []schema {
	var out []schema
	items, _ := s[name].([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// number is a bound of the schema.
func (s schema) number(name string) (int64, bool) {
	switch n := s[name].(type) {
	case int64:
		return n, true
	case float64:
		return int64(n), true
	}
	return 0, false
}

// Status cuts the status of one of Sluice's objects to its schema, in place: long texts end in an ellipsis, long lists
// lose their end, keys that are no longer unique their later entries, numbers are set to the nearest bound. Other
// objects are left as they are.
func Status(o any) { fit(o, "Status", "status") }

// Spec does the same for the spec of an object that Sluice makes.
func Spec(o any) { fit(o, "Spec", "spec") }

func fit(o any, field, property string) {
	v := reflect.ValueOf(o)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct ||
		v.Elem().Type().PkgPath() != reflect.TypeFor[v1alpha1.Release]().PkgPath() {
		return
	}
	s, known := schemas()[v.Elem().Type().Name()]
	if f := v.Elem().FieldByName(field); known && f.IsValid() {
		value(f, s.child("properties").child(property))
	}
}

// value fits one value to its schema.
func value(v reflect.Value, s schema) {
	if s == nil || !v.CanSet() {
		return
	}
	if v.Kind() != reflect.Pointer && v.Addr().Type().Implements(reflect.TypeFor[json.Marshaler]()) {
		return // A time, a duration, a decimal: it has a text of its own.
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			value(v.Elem(), s)
		}
	case reflect.Struct:
		fields(v, s)
	case reflect.String:
		text(v, s)
	case reflect.Slice:
		items(v, s)
	case reflect.Map:
		entries(v, s)
	case reflect.Int, reflect.Int32, reflect.Int64:
		if least, ok := s.number("minimum"); ok {
			v.SetInt(max(v.Int(), least))
		}
		if most, ok := s.number("maximum"); ok {
			v.SetInt(min(v.Int(), most))
		}
	default: // Nothing else has bounds.
	}
}

func fields(v reflect.Value, s schema) {
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		switch {
		case name != "":
			value(v.Field(i), s.child("properties").child(name))
		case v.Type().Field(i).Anonymous || strings.Contains(options, "inline"):
			value(v.Field(i), s)
		}
	}
}

func text(v reflect.Value, s schema) {
	if most, ok := s.number("maxLength"); ok {
		v.SetString(Text(v.String(), int(most)))
	} else if !utf8.ValidString(v.String()) {
		v.SetString(strings.ToValidUTF8(v.String(), "\uFFFD"))
	}
	allowed, _ := s["enum"].([]any)
	if len(allowed) > 0 && v.String() != "" && !slices.Contains(allowed, any(v.String())) {
		v.SetString("")
	}
}

// Text cuts a text to so many characters, as the API server counts them.
func Text(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	if most < 1 {
		return ""
	}
	return string([]rune(s)[:most-1]) + "…"
}

func items(v reflect.Value, s schema) {
	each := s.child("items")
	for i := range v.Len() {
		value(v.Index(i), each)
	}
	if keys := keysOf(s); keys != nil {
		unique(v, keys)
	}
	if most, ok := s.number("maxItems"); ok && v.Len() > int(most) {
		v.Set(v.Slice(0, int(most)))
	}
}

// keysOf are the JSON names by which the entries of a list must differ: none for a set of plain values, nil where they
// need not differ.
func keysOf(s schema) []string {
	switch s["x-kubernetes-list-type"] {
	case "set":
		return []string{}
	case "map":
		var out []string
		keys, _ := s["x-kubernetes-list-map-keys"].([]any)
		for _, k := range keys {
			out = append(out, fmt.Sprint(k))
		}
		return out
	}
	return nil
}

// unique keeps the first of the entries with the same keys: once cut, two names may have become one.
func unique(v reflect.Value, keys []string) {
	seen := map[string]bool{}
	kept := reflect.MakeSlice(v.Type(), 0, v.Len())
	for i := range v.Len() {
		key := keyOf(v.Index(i), keys)
		if !seen[key] {
			kept = reflect.Append(kept, v.Index(i))
		}
		seen[key] = true
	}
	if kept.Len() < v.Len() {
		v.Set(kept)
	}
}

func keyOf(v reflect.Value, keys []string) string {
	raw, err := json.Marshal(v.Interface())
	if err != nil || len(keys) == 0 {
		return string(raw)
	}
	var all map[string]any
	_ = json.Unmarshal(raw, &all)
	var parts []any
	for _, k := range keys {
		parts = append(parts, all[k])
	}
	raw, _ = json.Marshal(parts)
	return string(raw)
}

func entries(v reflect.Value, s schema) {
	each := s.child("additionalProperties")
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	if most, ok := s.number("maxProperties"); ok && len(keys) > int(most) {
		for _, k := range keys[most:] {
			v.SetMapIndex(k, reflect.Value{})
		}
		keys = keys[:most]
	}
	for _, k := range keys {
		fitted := reflect.New(v.Type().Elem()).Elem()
		fitted.Set(v.MapIndex(k))
		value(fitted, each)
		v.SetMapIndex(k, fitted)
	}
}

// Kinds are those whose statuses are cut.
func Kinds() []string { return slices.Sorted(maps.Keys(schemas())) }
