package http

import "cmp"

// compare applies the operator of a filter. Numbers and texts have an order, booleans are equal or not.
func compare(a, b any, operator string) (bool, error) {
	order, known := 0, false
	switch a := a.(type) {
	case float64:
		order, known = ordered(a, b)
	case string:
		order, known = ordered(a, b)
	case bool:
		if _, known = b.(bool); known && a != b {
			order = 1
		}
		known = known && (operator == "==" || operator == "!=")
	}
	holds, valid := map[string]bool{
		"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
	}[operator]
	if !known || !valid {
		return false, errKinds
	}
	return holds, nil
}

func ordered[T cmp.Ordered](a T, other any) (order int, known bool) {
	b, known := other.(T)
	return cmp.Compare(a, b), known
}
