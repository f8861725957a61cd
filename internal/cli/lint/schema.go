package lint

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/sluice-dev/sluice/deploy"
)

// objectSchema is what the API server would hold an object of one kind against. All three are the API server's own
// code, so that lint cannot judge otherwise by a rule that was written a second time.
type objectSchema struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

// schemaOf finds the schema in the CRDs that `sluice install` brings; nil if there is no such kind.
func schemaOf(kind, version string) (*objectSchema, error) {
	crds, err := deploy.CRDs()
	if err != nil {
		return nil, fmt.Errorf("read the CRDs: %w", err)
	}
	for _, u := range crds {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &crd); err != nil {
			return nil, fmt.Errorf("read CRD %s: %w", u.GetName(), err)
		}
		for _, v := range crd.Spec.Versions {
			if crd.Spec.Names.Kind == kind && v.Name == version {
				return newSchema(v.Schema.OpenAPIV3Schema)
			}
		}
	}
	return nil, nil
}

// kinds that Sluice has.
func kinds() []string {
	crds, _ := deploy.CRDs() // Whoever asks has read them before.
	var out []string
	for _, crd := range crds {
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		out = append(out, kind)
	}
	return slices.Sorted(slices.Values(out))
}

func newSchema(props *apiextensionsv1.JSONSchemaProps) (*objectSchema, error) {
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal,
		nil); err != nil {
		return nil, fmt.Errorf("convert schema: %w", err)
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return &objectSchema{
		structural: structural, validator: validator,
		// The limit is the API server's. A rule that is too dear there must fail here as well.
		rules: cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// check holds a document against the schema and its rules. Unknown fields are errors: a misspelt pause would
// otherwise be no pause.
func (s *objectSchema) check(d *document) []Problem {
	var out []Problem
	for _, unknown := range s.unknown(d.object) {
		out = append(out, d.problem(unknown, "there is no such field; see `kubectl explain "+strings.ToLower(d.kind())+"."+parent(unknown)+"`"))
	}
	errs := checkName(d)
	errs = append(errs, validation.ValidateCustomResource(nil, d.object, s.validator)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, d.object)...)
	// As in the API server: rules are not run over an object of which they may not rely on the shape.
	if s.rules != nil && !slices.ContainsFunc(errs, blocks) {
		more, _ := s.rules.Validate(context.Background(), nil, s.structural, d.object, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, more...)
	}
	for _, e := range errs {
		message := words(e)
		if hint := s.hint(d.object, e); hint != "" {
			message = hint
		}
		out = append(out, d.problem(path(e.Field), message))
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return a.Line - b.Line })
	return out
}

// hint says what to write instead of a number or true where a text is wanted: "10s" for 10.
func (s *objectSchema) hint(object map[string]any, e *field.Error) string {
	if e.Type != field.ErrorTypeTypeInvalid && e.Type != field.ErrorTypeInvalid ||
		!strings.Contains(e.Detail, "must be of type string") {
		return ""
	}
	var value any = object
	at := s.structural
	for _, part := range parts(path(e.Field)) {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				return ""
			}
			value = v[i]
		}
		at = below(at, part)
	}
	switch value.(type) {
	case int64, float64, bool:
	default:
		return ""
	}
	// The schema's type of a duration is string; only its rule tells that it is one.
	if at != nil && slices.ContainsFunc(at.XValidations,
		func(r apiextensionsv1.ValidationRule) bool { return strings.Contains(r.Rule, "duration(self)") }) {
		return fmt.Sprintf("%v is a number; write a time with its unit, as %[1]vs or %[1]vm", value)
	}
	return fmt.Sprintf("%v is no text; write it in quotes: \"%[1]v\"", value)
}

// below is the schema of a field, or of the entries of a list.
func below(s *schema.Structural, part string) *schema.Structural {
	if s == nil {
		return nil
	}
	if p, ok := s.Properties[part]; ok {
		return &p
	}
	if s.Items != nil {
		return s.Items
	}
	if s.AdditionalProperties != nil {
		return s.AdditionalProperties.Structural
	}
	return nil
}

// blocks says whether rules cannot rely on the shape of an object with this error. The API server also
// blocks at NotSupported, a value that is not among those allowed. Here the rules run beside it: the value has its
// type.
func blocks(e *field.Error) bool {
	switch e.Type {
	case field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}

// unknown are the paths of fields that the schema does not have. Pruning takes them out of what it is given, so it is
// given a copy.
func (s *objectSchema) unknown(object map[string]any) []string {
	clone := runtime.DeepCopyJSON(object)
	return pruning.PruneWithOptions(clone, s.structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

// checkName checks what every object's metadata has to have. The schema of a CRD says nothing about metadata: the API
// server checks that by itself.
func checkName(d *document) field.ErrorList {
	name := d.metadata("name")
	if name == "" && d.metadata("generateName") != "" {
		return nil
	}
	at := field.NewPath("metadata", "name")
	if name == "" {
		return field.ErrorList{field.Required(at, "every object needs a name")}
	}
	var out field.ErrorList
	for _, m := range utilvalidation.IsDNS1123Subdomain(name) {
		out = append(out, field.Invalid(at, name, m))
	}
	return out
}

// path drops the mark of the root: a field.Path that is nil writes itself as "<nil>".
func path(f string) string {
	if f == "<nil>" {
		return ""
	}
	return f
}

// parent is the path of the field around, without places in lists, as `kubectl explain` takes it.
func parent(f string) string {
	if i := strings.LastIndex(f, "."); i > 0 {
		f = f[:i]
	}
	for strings.Contains(f, "[") {
		from, to := strings.Index(f, "["), strings.Index(f, "]")
		f = f[:from] + f[to+1:]
	}
	return f
}

// withoutField drops the field that a message begins with, where it is the end of the path, which is told apart.
func withoutField(message, at string) string {
	name, rest, found := strings.Cut(message, ": ")
	if found && (at == name || strings.HasSuffix(at, "."+name)) {
		return rest
	}
	return message
}

// words of an error without the field, which is told apart, and without a value that fills the screen.
func words(e *field.Error) string {
	detail := strings.TrimPrefix(e.Detail, e.Field+" in body ")
	if _, rule, failed := strings.Cut(detail, " evaluating rule: "); failed { // As of 2d, which is no duration.
		return withoutField(rule, e.Field)
	}
	detail = withoutField(detail, e.Field)
	switch e.BadValue.(type) {
	case string, int64, float64, bool, int:
		// The rules of a list or an object give the name of its type for a value.
		if e.Type == field.ErrorTypeInvalid && e.BadValue != "array" && e.BadValue != "object" {
			return fmt.Sprintf("%v: %s", e.BadValue, detail)
		}
	}
	if e.Type == field.ErrorTypeInvalid && detail != "" {
		return detail
	}
	if e.Type == field.ErrorTypeRequired && detail == "" {
		return "this field is required"
	}
	return strings.ReplaceAll(e.ErrorBody(), e.Field+" in body ", "")
}
