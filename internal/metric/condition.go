package metric

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"k8s.io/utils/lru"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	maxCondition  = 1024
	conditionCost = 1_000_000
	// conditionTime bounds what the cost does not see, as the comparison of two long lists.
	conditionTime = time.Second
	maxMatched    = 16 << 10
	maxCompared   = 100_000
)

// Condition says whether a measurement is good. The zero Condition calls every value good.
type Condition struct {
	success, failure *expression
	uses             uses // of both
}

type expression struct {
	field, text string
	program     cel.Program
	uses        uses
}

// Compile reads successCondition and failureCondition, either of which may be empty, for results of a shape.
// Expressions see result (all that was measured), value (the one number of it, or an error that says what there is
// instead) and status (the HTTP status). All numbers but status and size() are doubles.
func Compile(shape Shape, success, failure string) (c Condition, err error) {
	if c.success, err = compile(shape, "successCondition", success); err != nil {
		return Condition{}, err
	}
	if c.failure, err = compile(shape, "failureCondition", failure); err != nil {
		return Condition{}, err
	}
	for _, e := range []*expression{c.success, c.failure} {
		if e != nil {
			c.uses.size, c.uses.status = c.uses.size || e.uses.size, c.uses.status || e.uses.status
		}
	}
	return c, nil
}

// Judge applies the conditions to what was measured. One of them alone decides between Successful and Failed. With
// both, failureCondition comes first, and what neither holds for is Inconclusive. Whatever cannot be evaluated is an
// Error.
func (c Condition) Judge(result any, status int) (v1alpha1.AnalysisPhase, string) {
	if err := c.Measured(result); err != nil {
		return v1alpha1.AnalysisError, err.Error()
	}
	failed, err := c.failure.holds(result, status)
	if err != nil {
		return v1alpha1.AnalysisError, err.Error()
	}
	good, err := c.success.holds(result, status)
	if err != nil {
		return v1alpha1.AnalysisError, err.Error()
	}
	switch {
	case failed:
		return v1alpha1.AnalysisFailed, c.failure.says("holds")
	case good:
		return v1alpha1.AnalysisSuccessful, c.success.says("holds")
	case c.success == nil && c.failure == nil:
		return v1alpha1.AnalysisSuccessful, ""
	case c.success == nil:
		return v1alpha1.AnalysisSuccessful, c.failure.says("does not hold")
	case c.failure == nil:
		return v1alpha1.AnalysisFailed, c.success.says("does not hold")
	}
	return v1alpha1.AnalysisInconclusive, "neither successCondition nor failureCondition holds"
}

// Measured looks for what is no value, wherever it came from. The error is a NoData.
func (c Condition) Measured(v any) error {
	switch absent, missing := v.(Absent); {
	case v == nil:
		return NoData{"there is no value"}
	case missing && !c.uses.status:
		return NoData(absent)
	case empty(v) && !c.uses.size:
		// Every condition over all entries of an empty list holds.
		return NoData{"the list is empty, as no series or nothing was found; if that is good, say so in the condition: " +
			"size(result) == 0 || ..."}
	}
	return finite(v)
}

// finite looks for NaN also deep in a value: no operator of a condition need touch it before it is compared.
func finite(v any) error {
	var err error
	switch v := v.(type) {
	case float64:
		_, err = Finite(v)
	case []float64:
		for i := 0; i < len(v) && err == nil; i++ {
			_, err = Finite(v[i])
		}
	case []any:
		for i := 0; i < len(v) && err == nil; i++ {
			err = finite(v[i])
		}
	case map[string]any:
		for _, x := range v {
			if err = finite(x); err != nil {
				break
			}
		}
	}
	return err
}

// environment takes any result; typed takes results of a shape.
var environment = sync.OnceValues(func() (*cel.Env, error) { return newEnvironment(ShapeAny) })

var typed = map[Shape]func() (*cel.Env, error){
	ShapeSeries: sync.OnceValues(func() (*cel.Env, error) { return newEnvironment(ShapeSeries) }),
	ShapeRange:  sync.OnceValues(func() (*cel.Env, error) { return newEnvironment(ShapeRange) }),
	ShapePods:   sync.OnceValues(func() (*cel.Env, error) { return newEnvironment(ShapePods) }),
}

func newEnvironment(shape Shape) (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("result", shape.declared()),
		cel.Variable("value", cel.DynType),
		cel.Variable("status", cel.IntType),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxCondition),
	)
}

// compiled keeps the expressions that were read last: each look at a Rollout reads those of its templates again.
var compiled = lru.New(maxCompiled)

// maxCompiled is the number of expressions that are kept. Each takes some 10 kB.
const maxCompiled = 2000

// source is what an expression is read from.
type source struct {
	shape       Shape
	field, text string
}

func compile(shape Shape, field, text string) (*expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	from := source{shape, field, text}
	if known, ok := compiled.Get(from); ok {
		return known.(*expression), nil
	}
	e, err := compileAnew(shape, field, text)
	if err == nil {
		compiled.Add(from, e)
	}
	return e, err
}

func compileAnew(shape Shape, field, text string) (*expression, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	checked, issues := env.Compile(text)
	if found := issues.Errors(); len(found) > 0 {
		at := found[0].Location
		return nil, fmt.Errorf("%s, line %d, column %d: %s", field, at.Line(), at.Column()+1, Bounded(found[0].Message, 256))
	}
	if t := checked.OutputType(); t != cel.BoolType && t != cel.DynType {
		return nil, fmt.Errorf("%s: gives %s, and must say true or false, as result < 0.05", field, t)
	}
	tree := checked.NativeRep()
	if err := wholeNumbers(field, tree); err != nil {
		return nil, err
	}
	program, err := env.Program(checked,
		cel.CostLimit(conditionCost), cel.InterruptCheckFrequency(1), cel.CustomDecoratorV2(careful))
	if err != nil {
		return nil, fmt.Errorf("%s: plan expression: %w", field, err)
	}
	if err := fits(shape, field, text, tree); err != nil {
		return nil, err
	}
	return &expression{field: field, text: text, program: program, uses: usesOf(tree)}, nil
}

// fits says what is wrong with an expression for results of a shape.
func fits(shape Shape, field, text string, tree *ast.AST) error {
	if problem := shape.check(tree); problem != "" {
		return fmt.Errorf("%s: %s", field, problem)
	}
	newEnv, ok := typed[shape]
	if !ok {
		return nil
	}
	env, err := newEnv()
	if err != nil {
		return fmt.Errorf("make CEL environment: %w", err)
	}
	if _, issues := env.Compile(text); len(issues.Errors()) > 0 {
		at := issues.Errors()[0].Location
		return fmt.Errorf("%s, line %d, column %d: %s", field, at.Line(), at.Column()+1, shape.misfit())
	}
	return nil
}

// wholeNumbers finds result * 100, for which CEL has no multiplication: it would be an error at each measurement.
func wholeNumbers(field string, tree *ast.AST) (err error) {
	literal := func(e ast.Expr) bool {
		return e.Kind() == ast.LiteralKind && e.AsLiteral().Type() == types.IntType
	}
	double := func(e ast.Expr) bool { return tree.GetType(e.ID()).Kind() == types.DynKind }
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if err != nil || e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.Add, operators.Subtract, operators.Multiply, operators.Divide:
		default:
			return
		}
		for i, a := range call.Args() {
			if literal(a) && double(call.Args()[1-i]) {
				at := tree.SourceInfo().GetStartLocation(a.ID())
				n := a.AsLiteral().Value()
				err = fmt.Errorf("%s, line %d, column %d: measured numbers are doubles: write %v.0 instead of %v",
					field, at.Line(), at.Column()+1, n, n)
			}
		}
	}))
	return err
}

// holds is false for a condition that is not given.
func (e *expression) holds(result any, status int) (bool, error) {
	if e == nil {
		return false, nil
	}
	// What is not there is an error only for an expression that comes to it.
	vars := map[string]any{"result": result, "status": status}
	if absent, missing := result.(Absent); missing {
		vars["result"] = types.WrapErr(NoData(absent))
	}
	if one, err := One(result); err == nil {
		vars["value"] = one
	} else {
		vars["value"] = types.WrapErr(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), conditionTime)
	defer cancel()
	out, _, err := e.program.ContextEval(ctx, vars)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, fmt.Errorf("%s: took longer than %s to evaluate", e.field, conditionTime)
	case err != nil:
		return false, fmt.Errorf("%s: %s", e.field, reason(err))
	}
	b, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("%s: gives %s for this result, and must say true or false", e.field, out.Type().TypeName())
	}
	return b, nil
}

func (e *expression) says(verb string) string { return fmt.Sprintf("%s %s: %s", e.field, verb, e.text) }

func reason(err error) string {
	text := Bounded(err.Error(), 256)
	switch {
	case strings.Contains(text, "cost limit exceeded"):
		return "is too costly for this result; look at a part of it"
	case strings.Contains(text, "no such overload"):
		return "an operator does not fit the types of its operands (" + text + ")"
	}
	return text
}

// careful watches the calls of an expression: a number that is none is an error, since a comparison with it would be
// false, and so failureCondition: result.errors / result.total > 0.05 good where there was no request at all. And it
// bounds those calls whose cost CEL counts when it is too late, or not at all: a pattern is only matched with a short
// text, values are compared only up to a size, and lists are not joined, which is how values of unbounded size are
// made.
func careful(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	return watched{call}, nil
}

type watched struct{ interpreter.InterpretableCall }

func (w watched) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	switch w.Function() {
	case overloads.Matches:
		if s, ok := w.Args()[0].Exec(frame).(types.String); ok && len(s) > maxMatched {
			return types.NewErr("matches: the text is longer than 16 KiB")
		}
	case operators.Equals, operators.NotEquals, operators.In:
		return w.compare(w.Args()[0].Exec(frame), w.Args()[1].Exec(frame))
	}
	out := w.InterpretableCall.Exec(frame)
	_, list := out.(traits.Lister)
	// map and filter grow theirs.
	if _, growing := out.(traits.MutableLister); w.Function() == operators.Add && list && !growing {
		return types.NewErr("lists cannot be joined by + in a condition; look at each of them")
	}
	return w.finite(out)
}

// compare is what CEL's own operators do, for values of bounded size. A value that names another several times is
// counted as large as it would be written out.
func (w watched) compare(a, b ref.Val) ref.Val {
	for _, v := range []ref.Val{a, b} {
		if types.IsUnknownOrError(v) {
			return v
		}
	}
	left := maxCompared
	if grows(a, &left) || grows(b, &left) {
		return types.NewErr("what is compared has more than %d parts; compare parts of it", maxCompared)
	}
	switch w.Function() {
	case operators.In:
		if in, ok := b.(traits.Container); ok {
			return in.Contains(a)
		}
		return types.MaybeNoSuchOverloadErr(b)
	case operators.NotEquals:
		return types.Bool(types.Equal(a, b) != types.True)
	}
	return types.Equal(a, b)
}

// grows counts the parts of a value, and says whether there are more than are left.
func grows(v ref.Val, left *int) bool {
	if *left--; *left < 0 {
		return true
	}
	entries, ok := v.(traits.Iterable)
	if !ok || v.Type() == types.StringType {
		return false
	}
	mapper, isMap := v.(traits.Mapper)
	for it := entries.Iterator(); it.HasNext() == types.True; {
		part := it.Next()
		if grows(part, left) || isMap && grows(mapper.Get(part), left) {
			return true
		}
	}
	return false
}

func (w watched) Eval(a interpreter.Activation) ref.Val { return w.finite(w.InterpretableCall.Eval(a)) }

func (w watched) finite(v ref.Val) ref.Val {
	if d, ok := v.(types.Double); ok && (math.IsNaN(float64(d)) || math.IsInf(float64(d), 0)) {
		return types.WrapErr(errNoNumber)
	}
	return v
}

var errNoNumber = errors.New("no data: a division by zero, or a number without bounds")
