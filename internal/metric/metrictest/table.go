package metrictest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/metric"
)

// Case is one answer and what comes of it.
type Case struct {
	Name   string
	Status int // 200 if 0
	Body   string
	Want   any
	// Err is a part of the error; NoData says that it is one.
	Err    string
	NoData bool
	// Note is a part of the result's note.
	Note string
}

// Table checks the cases.
func Table(t *testing.T, k Kit, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			status := c.Status
			if status == 0 {
				status = http.StatusOK
			}
			r, err := k.Measure(t, Answers(status, c.Body))
			Check(t, c, r, err)
		})
	}
}

// Check compares what came of a case with what should have.
func Check(t *testing.T, c Case, r metric.Result, err error) {
	t.Helper()
	if c.Err == "" {
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.Want, r.Value); d != "" {
			t.Errorf("value (-want +got):\n%s", d)
		}
		if !strings.Contains(r.Note, c.Note) || (c.Note == "") != (r.Note == "") {
			t.Errorf("note is %q", r.Note)
		}
		return
	}
	if err == nil {
		t.Fatalf("value is %v, and an error was expected", r.Value)
	}
	if !strings.Contains(err.Error(), c.Err) {
		t.Errorf("error is %q, not %q", err, c.Err)
	}
	var none metric.NoData
	if errors.As(err, &none) != c.NoData {
		t.Errorf("error is %#v", err)
	}
}
