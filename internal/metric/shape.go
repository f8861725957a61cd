package metric

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Shape is the type of a source's result. It follows from the provider and never from the data, so that a condition
// that can be evaluated at one pod can be evaluated at two.
type Shape int

const (
	// ShapeAny: whatever a service answers.
	ShapeAny Shape = iota
	// ShapeSeries is a list of numbers: one for each series, also if there is one or none.
	ShapeSeries
	// ShapeRange is a list of numbers: those of one series over a time.
	ShapeRange
	// ShapeNumber is one number.
	ShapeNumber
	// ShapePods is a map with the fields of PodFields.
	ShapePods
)

// PodFields are the fields of what the provider kubernetes measures. All are numbers.
var PodFields = []string{
	"pods", "ready", "readyShare", "restarts", "oomKills", "stablePods", "stableReadyShare", "stableRestarts",
	"stableOomKills",
}

// ShapeOf is the shape of what a provider measures.
func ShapeOf(p v1alpha1.MetricProvider) Shape {
	switch {
	case p.Prometheus != nil && p.Prometheus.Range != nil:
		return ShapeRange
	case p.Prometheus != nil:
		return ShapeSeries
	case p.Datadog != nil, p.CloudWatch != nil, p.SkyWalking != nil:
		return ShapeNumber
	case p.Kubernetes != nil:
		return ShapePods
	}
	return ShapeAny
}

// Absent is a Result's Value where an answer has none and its status is measured all the same. A condition that touches
// result or value is then an error, unless it looks at the status before, as status == 200 && value < 5.0.
type Absent struct{ Why string }

// One is the only number of a result. Otherwise the error says what there is.
func One(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case []float64:
		switch len(v) {
		case 0:
			return 0, errNoSeries
		case 1:
			return v[0], nil
		}
		return 0, fmt.Errorf("there are %d series, and not one number; aggregate them in the query, as by sum(), or speak "+
			"of result, which is the list", len(v))
	case Absent:
		return 0, NoData(v)
	}
	return 0, fmt.Errorf("value is only there where the result is a number, and it is %s; speak of result", kindOf(v))
}

var errNoSeries = NoData{"the query finds no series"}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a text"
	case bool:
		return "true or false"
	case []any, []float64:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("of type %T", v)
}

// empty says whether a result is a list without entries. That is no data, unless a condition asks for size(result).
func empty(v any) bool {
	switch v := v.(type) {
	case []float64:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// declared is the type of result in CEL.
func (s Shape) declared() *cel.Type {
	switch s {
	case ShapeSeries, ShapeRange:
		return cel.ListType(cel.DynType)
	case ShapePods:
		return cel.MapType(cel.StringType, cel.DynType)
	case ShapeAny, ShapeNumber:
	}
	return cel.DynType
}

// check finds what a condition does with result, or value, that its shape does not allow.
func (s Shape) check(tree *ast.AST) (problem string) {
	uses := usesOf(tree)
	switch s {
	case ShapeRange:
		if uses.value {
			return "prometheus.range measures the numbers of a time, and value is one number; speak of result, the list of " +
				"them, as result.all(x, x < 0.05)"
		}
	case ShapeNumber:
		if uses.asList != "" {
			return fmt.Sprintf("result is one number here, and %s is not for numbers; write result < 0.05 or the like",
				uses.asList)
		}
	case ShapePods:
		if uses.value {
			return "value is one number, and the pods are told by many; speak of one, as result.restarts"
		}
		for _, f := range uses.fields {
			if !isPodField(f) {
				return fmt.Sprintf("result has no field %q; it has %s", f, strings.Join(PodFields, ", "))
			}
		}
	case ShapeAny, ShapeSeries:
	}
	return ""
}

// misfit says why a condition does not fit the type of result.
func (s Shape) misfit() string {
	switch s {
	case ShapeSeries:
		return "result is a list of numbers, one for each series that prometheus.query finds; write value for the one " +
			"number, as value < 0.05, or look at all of them, as result.all(x, x < 0.05)"
	case ShapeRange:
		return "result is a list of numbers, those of the time prometheus.range; look at all of them, as result.all(x, x " +
			"< 0.05)"
	case ShapePods:
		return "result is a map; speak of one of its numbers, as result.restarts"
	case ShapeAny, ShapeNumber:
	}
	return "result has another type"
}

func isPodField(name string) bool {
	for _, f := range PodFields {
		if f == name {
			return true
		}
	}
	return false
}

// uses are what an expression does with the variables.
type uses struct {
	value, status bool
	// size: size(result) is asked for.
	size bool
	// asList is what is done with result that can be done with lists, maps and texts only.
	asList string
	// fields of result that are spoken of.
	fields []string
}

func usesOf(tree *ast.AST) (u uses) {
	for _, r := range tree.ReferenceMap() {
		u.value = u.value || r.Name == "value"
		u.status = u.status || r.Name == "status"
	}
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(u.look))
	return u
}

func (u *uses) look(e ast.Expr) {
	switch e.Kind() {
	case ast.SelectKind:
		if isResult(e.AsSelect().Operand()) {
			u.fields = append(u.fields, e.AsSelect().FieldName())
			u.asList = "." + e.AsSelect().FieldName()
		}
	case ast.ComprehensionKind:
		if isResult(e.AsComprehension().IterRange()) {
			u.asList = "a look at all of its entries"
		}
	case ast.CallKind:
		u.call(e.AsCall())
	default: // Nothing is done with a name, a literal or a list of them.
	}
}

func (u *uses) call(c ast.CallExpr) {
	first := c.Target()
	if !c.IsMemberFunction() && len(c.Args()) > 0 {
		first = c.Args()[0]
	}
	if first == nil || !isResult(first) {
		return
	}
	switch name := c.FunctionName(); name {
	case overloads.Size:
		u.size, u.asList = true, "size()"
	case operators.Index:
		u.asList = "[]"
		if key := c.Args()[1]; key.Kind() == ast.LiteralKind && key.AsLiteral().Type() == types.StringType {
			u.fields = append(u.fields, fmt.Sprint(key.AsLiteral().Value()))
		}
	case overloads.Matches, overloads.Contains, overloads.StartsWith, overloads.EndsWith:
		u.asList = name + "()"
	}
}

func isResult(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "result" }
