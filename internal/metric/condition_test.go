package metric

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestJudge(t *testing.T) {
	const (
		good, bad, unclear, fault = v1alpha1.AnalysisSuccessful, v1alpha1.AnalysisFailed, v1alpha1.AnalysisInconclusive, v1alpha1.AnalysisError
	)
	requests := func(errors, total float64) map[string]any {
		return map[string]any{"errors": errors, "total": total, "state": "ok"}
	}
	for _, c := range []struct {
		success, failure string
		result           any
		status           int
		phase            v1alpha1.AnalysisPhase
		message          string
	}{
		{"", "", 0.0, 200, good, ""},
		{"", "", "text", 200, good, ""},
		{"", "", nil, 200, fault, "no data"},
		{"", "", math.NaN(), 200, fault, "no data"},
		{"", "", math.Inf(1), 200, fault, "no data"},
		{"", "", []float64{1, math.NaN()}, 200, fault, "no data"},
		{"", "result.share < 0.5", map[string]any{"share": math.NaN()}, 200, fault, "no data"},
		{"", "result[1] < 0.5", []any{1.0, math.Inf(1)}, 200, fault, "no data"},
		{"", "result[1] == null", []any{1.0, nil}, 200, bad, ""},
		{"result < 0.05", "", 0.01, 0, good, "successCondition holds: result < 0.05"},
		{"result < 0.05", "", 0.05, 0, bad, "successCondition does not hold: result < 0.05"},
		{"", "result > 0.05", 0.06, 0, bad, "failureCondition holds: result > 0.05"},
		{"", "result > 0.05", 0.05, 0, good, "failureCondition does not hold: result > 0.05"},
		{"result < 1.0", "result > 2.0", 0.5, 0, good, "successCondition holds"},
		{"result < 1.0", "result > 2.0", 3.0, 0, bad, "failureCondition holds"},
		{"result < 1.0", "result > 2.0", 1.5, 0, unclear, "neither"},
		{"result < 5.0", "result > 2.0", 3.0, 0, bad, "failureCondition holds"}, // both
		{"result < 1", "", 0.5, 0, good, ""},
		{"result == 1", "", 1.0, 0, good, ""},
		{"value == 1", "", 1.0, 0, good, ""},
		{"value <= 1 && status == 200", "", 1.0, 200, good, ""},
		{"status == 200", "", map[string]any{}, 503, bad, ""},
		{"status in [200, 204]", "", map[string]any{}, 204, good, ""},
		{"result.state == 'ok'", "", requests(1, 2), 0, good, ""},
		{"has(result.p99) && result.p99 < 5", "", requests(1, 2), 0, bad, ""},
		{"result", "", true, 0, good, ""},
		{"result", "", false, 0, bad, ""},
		{"size(result) == 2 && result.all(x, x < 3)", "", []float64{1, 2}, 0, good, ""},
		{"result[0] < result[1]", "", []any{1.0, 2.0}, 0, good, ""},
		{"result.matches('^v1[.]')", "", "v1.2", 0, good, ""},
		// A third is a third.
		{"result.errors / result.total < 0.05", "", requests(1, 3), 0, bad, ""},
		{"result.errors / result.total < 0.05", "", requests(1, 30), 0, good, ""},
		// What cannot be evaluated is never good.
		{"", "result.errors / result.total > 0.05", requests(0, 0), 0, fault, "failureCondition: no data: a division by zero"},
		{"", "result.errors / result.total > 0.05", requests(1, 0), 0, fault, "division by zero"},
		{"result.budget / result.errors > 2.0", "", map[string]any{"budget": 1.0, "errors": 0.0}, 0, fault, "division by zero"},
		{"result.missing < 1", "", requests(1, 1), 0, fault, "successCondition: no such key: missing"},
		{"", "result.missing > 1", requests(1, 1), 0, fault, "failureCondition: no such key: missing"},
		{"result < 1", "", "text", 0, fault, "does not fit the types"},
		{"result < 1", "", map[string]any{}, 0, fault, "does not fit the types"},
		{"result.a < 1", "", 1.0, 0, fault, "successCondition: "},
		{"result[3] < 1", "", []float64{1}, 0, fault, "index out of bounds"},
		{"result", "", 1.0, 0, fault, "gives double for this result, and must say true or false"},
		{"result", "", "true", 0, fault, "gives string for this result"},
		{"value < 1", "", []any{0.5}, 0, fault, "value is only there where the result is a number, and it is a list"},
		{"true", "result.missing", requests(1, 1), 0, fault, "failureCondition: no such key"},
		{"result.missing", "true", requests(1, 1), 0, fault, "successCondition: no such key"},
	} {
		t.Run(fmt.Sprintf("%s|%s|%v", c.success, c.failure, c.result), func(t *testing.T) {
			condition, err := Compile(ShapeAny, c.success, c.failure)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a program may be used again
				phase, message := condition.Judge(c.result, c.status)
				if phase != c.phase || !strings.Contains(message, c.message) {
					t.Errorf("%s: %s", phase, message)
				}
			}
		})
	}
}

// TestFaultB12ShapeIsOfTheSource: what a condition may say follows from the source, and does not change with the number of
// series that it happens to find.
func TestFaultB12ShapeIsOfTheSource(t *testing.T) {
	const (
		good, bad, fault = v1alpha1.AnalysisSuccessful, v1alpha1.AnalysisFailed, v1alpha1.AnalysisError
	)
	one, two, none := []float64{0.5}, []float64{0.5, 3}, []float64{}
	absent := Absent{Why: "the answer, of status 503, has no value"}
	for _, c := range []struct {
		shape     Shape
		condition string
		result    any
		phase     v1alpha1.AnalysisPhase
		message   string
	}{
		{ShapeSeries, "result.all(x, x < 1.0)", one, good, ""},
		{ShapeSeries, "result.all(x, x < 1.0)", two, bad, ""},
		{ShapeSeries, "result[0] < 1", one, good, ""},
		{ShapeSeries, "value < 1", one, good, ""},
		{ShapeSeries, "value < 1", two, fault, "there are 2 series, and not one number; aggregate them in the query, as by sum()"},
		{ShapeSeries, "size(result) > 1 || value < 1", two, good, ""},
		// No data is never good, unless the condition asks for it.
		{ShapeSeries, "result.all(x, x < 1.0)", none, fault, "no data: the list is empty"},
		{ShapeSeries, "value < 1", none, fault, "no data: the list is empty"},
		{ShapeSeries, "", none, fault, "no data"},
		{ShapeSeries, "size(result) == 0", none, good, ""},
		{ShapeSeries, "result.size() == 0", one, bad, ""},
		{ShapeSeries, "size(result) == 0 || value < 1", one, good, ""},
		{ShapeAny, "result.all(x, x < 1.0)", []any{}, fault, "no data"},
		{ShapeAny, "size(result) == 0", []any{}, good, ""},
		{ShapeRange, "result.all(x, x < 1.0)", one, good, ""},
		// A status that was asked for decides before a value that is not there.
		{ShapeAny, "status == 200 && value < 1", absent, bad, ""},
		{ShapeAny, "status == 503 || value < 1", absent, good, ""},
		{ShapeAny, "value < 1", absent, fault, "no data: the answer, of status 503, has no value"},
		{ShapeAny, "status != 200 && result.ok", absent, fault, "successCondition: no data: the answer, of status 503"},
	} {
		t.Run(fmt.Sprint(c.condition, c.result), func(t *testing.T) {
			condition, err := Compile(c.shape, c.condition, "")
			if err != nil {
				t.Fatal(err)
			}
			status := 200
			if _, ok := c.result.(Absent); ok {
				status = 503
			}
			if phase, message := condition.Judge(c.result, status); phase != c.phase || !strings.Contains(message, c.message) {
				t.Errorf("%s: %s", phase, message)
			}
		})
	}
}

// TestFaultB12TypesAreChecked: a condition that does not fit its source is told before anything is measured, and how it was
// meant.
func TestFaultB12TypesAreChecked(t *testing.T) {
	for _, c := range []struct {
		shape     Shape
		condition string
		want      string // empty: it fits
	}{
		{ShapeSeries, "result < 0.05", "successCondition, line 1, column 8: result is a list of numbers, one for each series that prometheus.query finds; write value for the one number"},
		{ShapeSeries, "result == 1", "result is a list"},
		{ShapeSeries, "result.errors > 1", "result is a list"},
		{ShapeSeries, "result[0] < 0.05 && result.all(x, x < 1)", ""},
		{ShapeSeries, "value == 1 && status == 200", ""},
		{ShapeRange, "value < 1", "prometheus.range measures the numbers of a time"},
		{ShapeRange, "result < 1", "those of the time prometheus.range"},
		{ShapeRange, "result.exists(x, x > 1) || result[size(result) - 1] > 2", ""},
		{ShapeNumber, "result == 1 && value < 2", ""},
		{ShapeNumber, "result[0] < 1", "result is one number here, and [] is not for numbers"},
		{ShapeNumber, "result.all(x, x < 1)", "a look at all of its entries is not for numbers"},
		{ShapeNumber, "size(result) == 0", "size() is not for numbers"},
		{ShapePods, "result.restarts == 0 && result.readyShare >= result.stableReadyShare", ""},
		{ShapePods, "result.restart == 0", `result has no field "restart"; it has pods, ready, readyShare, restarts`},
		{ShapePods, "result['oomkills'] == 0", `result has no field "oomkills"`},
		{ShapePods, "value == 0", "speak of one, as result.restarts"},
		{ShapePods, "result < 1", "result is a map"},
		{ShapeAny, "result < 1 || result.all(x, x < 1)", ""},
	} {
		_, err := Compile(c.shape, c.condition, "")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.condition, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error is %v, not %q", c.condition, err, c.want)
		}
	}
}

func TestCompile(t *testing.T) {
	for _, c := range []struct{ success, failure, want string }{
		{"result <", "", "successCondition, line 1, column 9: Syntax error"},
		{"", "\n rezult > 1", "failureCondition, line 2, column 2: undeclared reference to 'rezult'"},
		{"1 + 1", "", "successCondition: gives int, and must say true or false"},
		{"'yes'", "", "successCondition: gives string"},
		{"result * 100 < 5", "", "successCondition, line 1, column 10: measured numbers are doubles: write 100.0 instead of 100"},
		{"100 - value < 5", "", "column 1: measured numbers are doubles: write 100.0 instead of 100"},
		{"result.all(x, x + 1 < 5)", "", "column 19: measured numbers are doubles: write 1.0"},
		{strings.Repeat("true && ", 200) + "true", "", "successCondition, line "},
	} {
		_, err := Compile(ShapeAny, c.success, c.failure)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, not %q", err, c.want)
		}
	}
	for _, good := range []string{"", " \n", "size(result) + 1 > 2", "status - 200 < 100", "result * 100.0 < 5", "1 + 1 == 2"} {
		if _, err := Compile(ShapeAny, good, good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// An expression is a tenant's; the controller evaluates it for all of them.
func TestJudgeIsBounded(t *testing.T) {
	wide := make([]any, 200_000)
	for i := range wide {
		wide[i] = []any{float64(i)}
	}
	few := []any{wide, wide, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}
	for _, c := range []struct {
		expression string
		result     any
		want       []string // one of them; which of two bounds comes first is the machine's speed
	}{
		{"result.all(x, result.all(y, x != y || true))", wide, []string{"too costly", "took longer than 1s"}},
		{"result.all(a, result.all(b, result.all(c, result.all(d, result == result))))", few, []string{"too costly", "took longer than 1s"}},
		{"result.map(x, result).map(y, y.map(z, z)).size() > 1", wide, []string{"too costly", "took longer than 1s"}},
		{"result.matches('(a|b|ab|ba)*c')", strings.Repeat("ab", 500_000), []string{"longer than 16 KiB"}},
		{"[[1,2,3]]" + strings.Repeat(".map(a, a + a)", 40) + ".all(a, a == a)", 1.0, []string{"lists cannot be joined"}},
		{"[[]]" + strings.Repeat(".map(a, a + a)", 40) + ".all(a, size(a) > 0)", 1.0, []string{"lists cannot be joined"}},
		{"[[1]]" + strings.Repeat(".map(a, [a, a])", 40) + ".all(a, a == a)", 1.0, []string{"more than 100000 parts"}},
		{"[[1]]" + strings.Repeat(".map(a, [a, a])", 40) + ".all(a, a != a)", 1.0, []string{"more than 100000 parts"}},
		{"[[1]]" + strings.Repeat(".map(a, [a, a])", 40) + ".all(a, a in [a])", 1.0, []string{"more than 100000 parts"}},
		{"[{'a': 1}]" + strings.Repeat(".map(a, {'x': a, 'y': a})", 35) + ".all(a, a == a)", 1.0, []string{"more than 100000 parts"}},
		{"[result]" + strings.Repeat(".map(a, true ? dyn([a, a]) : a)", 30) + ".all(a, a == a)", 1.0, []string{"more than 100000 parts"}},
		{"(result + result + result + result + result + result + result + result).size() > 1", strings.Repeat("a", 1<<20), nil},
	} {
		condition, err := Compile(ShapeAny, c.expression, "")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		phase, message := condition.Judge(c.result, 200)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s takes %s", c.expression, took)
		}
		found := func(want string) bool { return strings.Contains(message, want) }
		if c.want != nil && (phase != v1alpha1.AnalysisError || !slices.ContainsFunc(c.want, found)) {
			t.Errorf("%s: %s: %s", c.expression, phase, message)
		}
	}
}

// The cost is counted through what careful puts around the calls.
func TestCostIsLimited(t *testing.T) {
	e, err := compile(ShapeAny, "successCondition", "result.all(a, result.all(b, result.all(c, a + b + c >= 0.0)))")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = e.program.Eval(map[string]any{"result": make([]float64, 200), "status": 200})
	if err == nil || !strings.Contains(reason(err), "too costly") {
		t.Errorf("error is %v", err)
	}
}
