package gatewayapi

import "k8s.io/apimachinery/pkg/runtime"

// object is v as a JSON object, nil if it is none.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// list is v as a JSON list, nil if it is none.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// text is v as a string, or what it defaults to.
func text(v any, otherwise string) string {
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	return otherwise
}

// number is v as a whole number.
func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case float64:
		if n > -1e15 && n < 1e15 && n == float64(int64(n)) {
			return int64(n), true
		}
	}
	return 0, false
}

// copied is a deep copy, so that nothing of the team's object is shared.
func copied[T any](v T) T {
	out, _ := runtime.DeepCopyJSONValue(v).(T)
	return out
}

// without is a copy of the object that lacks some fields.
func without(m map[string]any, fields ...string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	for _, f := range fields {
		delete(out, f)
	}
	return out
}

// same compares two JSON values; 1 and 1.0 are the same, as a Hold's content may have been decoded otherwise
// than the route's.
func same(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && sameObject(x, y)
	case []any:
		y, ok := b.([]any)
		return ok && sameList(x, y)
	}
	return a == b
}

func sameObject(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || !same(v, w) {
			return false
		}
	}
	return true
}

func sameList(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i], b[i]) {
			return false
		}
	}
	return true
}
