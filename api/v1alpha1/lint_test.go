package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
)

// TestAPIConventions stands in for the Kubernetes API linter: `kubectl explain` is worth reading only if every
// field says what it is, and an API server can bound the cost of our rules only if every string and list has
// a bound.
func TestAPIConventions(t *testing.T) {
	p := parsePackage(t)
	if len(p.structs) < 20 {
		t.Fatalf("found %d types only; does the test still read the right files?", len(p.structs))
	}
	for name, s := range p.structs {
		for _, field := range s.Fields.List {
			f := p.describe(name, field)
			if f.json == "" {
				continue // embedded, the fields are checked where they are declared
			}
			for _, fault := range append(f.docFaults(), f.boundFaults(p)...) {
				t.Errorf("%s: %s.%s: %s", p.files.Position(field.Pos()), name, f.json, fault)
			}
		}
	}
}

// TestRulesSayWhereAndWhat: the message of every rule begins with the field that it speaks of.
func TestRulesSayWhereAndWhat(t *testing.T) {
	rules := 0
	for position, text := range parsePackage(t).comments {
		for line := range strings.Lines(text) {
			_, rule, found := strings.Cut(line, "+kubebuilder:validation:XValidation:")
			if !found {
				continue
			}
			rules++
			_, message, found := strings.Cut(rule, `message="`)
			if !found {
				t.Errorf("%s: no message: %s", position, rule)
				continue
			}
			if field, _, found := strings.Cut(message, ": "); !found || strings.Contains(field, " ") {
				t.Errorf("%s: message %q does not begin with a field and a colon", position, message)
			}
		}
	}
	if rules < 10 {
		t.Errorf("found %d rules only; does the test still read the right files?", rules)
	}
}

// source is what is written in this package by hand.
type source struct {
	files    *token.FileSet
	structs  map[string]*ast.StructType
	strings  map[string]string // named string types, with their comments
	comments map[string]string // all comments, by position
}

func parsePackage(t *testing.T) source {
	t.Helper()
	s := source{files: token.NewFileSet(), structs: map[string]*ast.StructType{}, strings: map[string]string{}, comments: map[string]string{}}
	for _, name := range []string{"rollout_types.go", "release_types.go", "hold_types.go", "decision_types.go"} {
		file, err := parser.ParseFile(s.files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			for _, comment := range group.List {
				s.comments[s.files.Position(comment.Pos()).String()] = comment.Text
			}
		}
		for _, declaration := range file.Decls {
			if general, ok := declaration.(*ast.GenDecl); ok {
				s.add(general)
			}
		}
	}
	return s
}

func (s source) add(declaration *ast.GenDecl) {
	for _, spec := range declaration.Specs {
		named, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		switch kind := named.Type.(type) {
		case *ast.StructType:
			s.structs[named.Name.Name] = kind
		case *ast.Ident:
			if kind.Name == "string" {
				s.strings[named.Name.Name] = raw(declaration.Doc)
			}
		}
	}
}

// field is one field as a user meets it.
type field struct {
	owner, json, options, doc, text string
	kind                            ast.Expr
}

func (s source) describe(owner string, f *ast.Field) field {
	d := field{owner: owner, kind: f.Type, doc: raw(f.Doc), text: f.Doc.Text()}
	if f.Tag != nil {
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
		d.json, d.options, _ = strings.Cut(tag, ",")
	}
	return d
}

func (f field) docFaults() []string {
	var faults []string
	if first, _, _ := strings.Cut(f.text, " "); strings.TrimRight(first, ":,") != f.json {
		faults = append(faults, "the comment does not begin with the field's name")
	}
	if f.isListItems() {
		return faults
	}
	optional, required := strings.Contains(f.doc, "+optional"), strings.Contains(f.doc, "+required")
	if optional == required {
		faults = append(faults, "say either +optional or +required")
	}
	if optional != (strings.Contains(f.options, "omitempty") || strings.Contains(f.options, "omitzero")) {
		faults = append(faults, "omitempty or omitzero goes with +optional")
	}
	return faults
}

// boundFaults looks for what could grow without end.
func (f field) boundFaults(s source) []string {
	if f.isListItems() {
		return nil
	}
	kind := f.kind
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	switch kind := kind.(type) {
	case *ast.Ident:
		return f.stringFaults(s, kind.Name, "+kubebuilder:validation:")
	case *ast.MapType:
		return f.want("+kubebuilder:validation:MaxProperties=")
	case *ast.ArrayType:
		faults := append(f.want("+kubebuilder:validation:MaxItems="), f.want("+listType=")...)
		if item, ok := kind.Elt.(*ast.Ident); ok {
			faults = append(faults, f.stringFaults(s, item.Name, "+kubebuilder:validation:items:")...)
		}
		return faults
	}
	return nil
}

func (f field) stringFaults(s source, kind, prefix string) []string {
	comment, named := s.strings[kind]
	if kind != "string" && !named || strings.Contains(comment, "+kubebuilder:validation:Enum=") {
		return nil
	}
	if strings.Contains(f.doc, prefix+"Enum=") || strings.Contains(f.doc, prefix+"MaxLength=") {
		return nil
	}
	return []string{"a string without " + prefix + "MaxLength or Enum"}
}

func (f field) want(marker string) []string {
	if strings.Contains(f.doc, marker) {
		return nil
	}
	return []string{"no " + marker}
}

// isListItems tells the items of an XList, which only the API server writes.
func (f field) isListItems() bool {
	return strings.HasSuffix(f.owner, "List") && f.json == "items"
}

// raw is a comment with its markers, which Text leaves out.
func raw(group *ast.CommentGroup) string {
	if group == nil {
		return ""
	}
	var lines []string
	for _, comment := range group.List {
		lines = append(lines, comment.Text)
	}
	return strings.Join(lines, "\n")
}
