package metric

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// ArgumentPrefix stands before the name of an argument of a template in the names that Substitute knows.
const ArgumentPrefix = "args."

// BuiltIn are the names that Sluice fills in, beside the arguments.
var BuiltIn = []string{
	"rollout", "release", "namespace", "workload", "service", "canaryService", "stableHash", "canaryHash", "step",
	"weight",
}

// Substitute puts values in place of their names in braces, in every string of the metric; the names in values are as
// they stand between the braces, as args.host and namespace. Values are put in as they are: nothing is escaped, since a
// value may be a part of a query as well as of an address, and braces in a value stay what they are.
func Substitute(m v1alpha1.Metric, values map[string]string) (v1alpha1.Metric, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return v1alpha1.Metric{}, fmt.Errorf("metric %s: encode: %w", m.Name, err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return v1alpha1.Metric{}, fmt.Errorf("metric %s: decode: %w", m.Name, err)
	}
	if tree, err = substituteIn(tree, "", values); err != nil {
		return v1alpha1.Metric{}, fmt.Errorf("metric %s: %w", m.Name, err)
	}
	if raw, err = json.Marshal(tree); err != nil {
		return v1alpha1.Metric{}, fmt.Errorf("metric %s: encode: %w", m.Name, err)
	}
	var out v1alpha1.Metric
	if err := json.Unmarshal(raw, &out); err != nil {
		return v1alpha1.Metric{}, fmt.Errorf("metric %s: decode: %w", m.Name, err)
	}
	return out, nil
}

func substituteIn(v any, path string, values map[string]string) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		out, err := Expand(v, values)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return out, nil
	case []any:
		for i := range v {
			if v[i], err = substituteIn(v[i], fmt.Sprintf("%s[%d]", path, i), values); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) { // so that of two faults always the same is told
			if v[k], err = substituteIn(v[k], strings.TrimPrefix(path+"."+k, "."), values); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// Names are those that stand in braces in a text, as Expand reads them.
func Names(text string) []string {
	var out []string
	_, _ = replace(text, func(name string) (string, error) { // A text that is broken is so when it is expanded.
		out = append(out, name)
		return "", nil
	})
	return out
}

// Expand puts values in place of their names in braces.
func Expand(text string, values map[string]string) (string, error) {
	return replace(text, func(name string) (string, error) {
		value, known := values[name]
		if !known {
			return "", fmt.Errorf("{{%s}} is not known; there are %s", Bounded(name, 64),
				strings.Join(slices.Sorted(maps.Keys(values)), ", "))
		}
		return value, nil
	})
}

// replace goes through the text once, so that what is put in is never looked into.
func replace(text string, by func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", fmt.Errorf("{{ is not closed with }}")
		}
		value, err := by(strings.TrimSpace(name))
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}
