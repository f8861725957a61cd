package lint

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// line of a field in a document; of the nearest one around it that is there, where the field itself is not. Many
// problems are that a field is missing, and then the line of its parent is where to write it.
func line(document *yaml.Node, field string) int {
	if len(document.Content) == 0 {
		return document.Line
	}
	at := document.Content[0]
	nearest := at.Line
	for _, part := range parts(field) {
		key, value := child(at, part)
		if value == nil {
			return nearest
		}
		at, nearest = value, key.Line
	}
	return nearest
}

// find is the node of a field, or nil.
func find(root *yaml.Node, field string) *yaml.Node {
	for _, part := range parts(field) {
		if _, root = child(root, part); root == nil {
			return nil
		}
	}
	return root
}

// parts of "spec.canary.steps[1].weight": spec, canary, steps, 1, weight.
func parts(field string) []string {
	field = strings.NewReplacer("[", ".", "]", "").Replace(field)
	return strings.FieldsFunc(field, func(r rune) bool { return r == '.' })
}

// child is the entry of a mapping or sequence, and the node whose line speaks for it.
func child(n *yaml.Node, part string) (key, value *yaml.Node) {
	if n.Kind == yaml.AliasNode { // "*name" in YAML: the content stands where "&name" does.
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		i, err := strconv.Atoi(part)
		if err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	default: // A scalar has no entries.
	}
	return nil, nil
}
