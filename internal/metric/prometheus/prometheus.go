// Package prometheus asks a Prometheus server, or what speaks its query API.
//
// It may import internal/metric and the API types.
package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// maxPoints is what Prometheus gives of one series.
const maxPoints = 11000

// New makes the source.
func New() metric.Source { return source{} }

type source struct{}

func (source) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	p := q.Provider.Prometheus
	address := p.Address
	if address == "" {
		address = q.Prometheus
	}
	if address == "" {
		return metric.Result{}, errors.New("prometheus.address: is not set, and this installation names no Prometheus")
	}
	path, form, err := question(p, q.Now)
	if err != nil {
		return metric.Result{}, err
	}
	u, err := metric.Endpoint("prometheus.address", address, path)
	if err != nil {
		return metric.Result{}, err
	}
	conn, err := metric.Connect(q, p.Connection)
	if err != nil {
		return metric.Result{}, err
	}
	answer, err := post(ctx, conn, u, form)
	if err != nil {
		return metric.Result{}, err
	}
	return read(answer, q.By, p.Range != nil)
}

// Check finds what can be known to be wrong without asking.
func Check(p *v1alpha1.PrometheusProvider) error {
	if _, _, err := question(p, time.Time{}); err != nil || p.Address == "" {
		return err
	}
	_, err := metric.Endpoint("prometheus.address", p.Address)
	return err
}

func question(p *v1alpha1.PrometheusProvider, now time.Time) (path string, form url.Values, err error) {
	form = url.Values{"query": {p.Query}}
	if p.Range == nil {
		form.Set("time", instant(now))
		return "api/v1/query", form, nil
	}
	d, step := p.Range.Duration.Duration, p.Range.Step.Duration
	if d <= 0 || step <= 0 {
		return "", nil, errors.New("prometheus.range: set duration and step")
	}
	if d/step >= maxPoints {
		return "", nil, fmt.Errorf("prometheus.range: %s in steps of %s is more than the %d values that Prometheus gives; "+
			"make step longer", d, step, maxPoints)
	}
	form.Set("start", instant(now.Add(-d)))
	form.Set("end", instant(now))
	form.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
	return "api/v1/query_range", form, nil
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// post sends the query as a form, since it may be too long for a URL, and in the URL only where the server has no POST.
func post(ctx context.Context, conn *metric.Conn, u *url.URL, form url.Values) (metric.Answer, error) {
	accept := http.Header{"Accept": {"application/json"}}
	r := metric.Request{Method: http.MethodPost, URL: u, Body: []byte(form.Encode()), Header: accept.Clone()}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := conn.Ask(ctx, r)
	if err != nil || answer.Status != http.StatusMethodNotAllowed {
		return answer, err
	}
	get := *u
	if get.RawQuery != "" { // a tenant in the address, say
		get.RawQuery += "&"
	}
	get.RawQuery += form.Encode()
	return conn.Ask(ctx, metric.Request{Method: http.MethodGet, URL: &get, Header: accept})
}

type response struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

func read(answer metric.Answer, by string, ranged bool) (metric.Result, error) {
	var r response
	broken := json.Unmarshal(answer.Body, &r) != nil
	if err := answer.Err(); err != nil {
		if !broken && r.ErrorType != "" {
			err = fmt.Errorf("%w (%s)", err, kind(r.ErrorType))
		}
		return metric.Result{}, err
	}
	switch {
	case broken || r.Status == "":
		return metric.Result{}, errors.New("the answer is not that of a Prometheus; look at prometheus.address")
	case r.Status != "success":
		return metric.Result{}, fmt.Errorf("prometheus.query: the server could not answer (%s)", kind(r.ErrorType))
	}
	v, err := value(r, by, ranged)
	if err != nil {
		return metric.Result{}, err
	}
	out := metric.Result{Value: v, Status: answer.Status}
	if n := len(r.Warnings); n > 0 {
		out.Note = fmt.Sprintf("Prometheus answered with %d warning(s): the value may be of a part only", n)
	}
	return out, nil
}

// kind explains an error's type. Its text is not shown: it has parts of what was asked, and of what others store.
func kind(errorType string) string {
	switch k := metric.Known(errorType, "bad_data", "timeout", "canceled", "execution", "internal", "unavailable",
		"not_found", "not_acceptable"); k {
	case "bad_data":
		return "bad_data: prometheus.query is not valid PromQL, or a parameter is wrong"
	case "execution":
		return "execution: prometheus.query is valid, but could not be evaluated, as when one side of a join has several " +
			"series"
	default:
		return k
	}
}

var errShape = errors.New("the answer has not the form of Prometheus' query API")

// value is always a list of numbers; with by it is a map of them.
func value(r response, by string, ranged bool) (any, error) {
	if by != "" && r.Data.ResultType != "vector" {
		return nil, fmt.Errorf("prometheus.query gives no series of now with the label %[1]s; group by it, as sum by "+
			"(%[1]s) (...), and set no range", by)
	}
	switch r.Data.ResultType {
	case "scalar":
		var p point
		if json.Unmarshal(r.Data.Result, &p) != nil {
			return nil, errShape
		}
		f, err := p.number()
		if err != nil {
			return nil, err
		}
		return []float64{f}, nil // As a vector of one: the type of the result must not depend on the query's last function.
	case "vector":
		var all []series
		if json.Unmarshal(r.Data.Result, &all) != nil {
			return nil, errShape
		}
		if by != "" {
			return labelled(all, by)
		}
		return vector(all)
	case "matrix":
		if !ranged {
			return nil, errors.New("prometheus.query gives the values of a time, as up[5m] does; set prometheus.range, or " +
				"take one number of them, as by avg_over_time()")
		}
		var all []series
		if json.Unmarshal(r.Data.Result, &all) != nil {
			return nil, errShape
		}
		return matrix(all)
	case "string":
		return nil, errors.New("prometheus.query gives a text, and a number is measured")
	}
	return nil, errShape
}

// series is one of a vector (value) or of a matrix (values).
type series struct {
	Metric     map[string]string `json:"metric"`
	Value      *point            `json:"value"`
	Values     []point           `json:"values"`
	Histogram  json.RawMessage   `json:"histogram"`
	Histograms json.RawMessage   `json:"histograms"`
}

// point is a time and a number in a text.
type point [2]json.RawMessage

func (p point) number() (float64, error) {
	var text string
	if json.Unmarshal(p[1], &text) != nil {
		return 0, errShape
	}
	return metric.Number(text)
}

var (
	errNone      = metric.NoData{Why: "prometheus.query finds no series"}
	errHistogram = errors.New("prometheus.query gives a histogram; take a number from it, as by histogram_quantile")
)

// number is the value of one series of a vector.
func (s series) number() (float64, error) {
	switch {
	case s.Value != nil:
		return s.Value.number()
	case s.Histogram != nil:
		return 0, errHistogram
	}
	return 0, errShape
}

// labelled are the values of a vector by a label.
func labelled(all []series, by string) (any, error) {
	out := make(map[string]any, len(all))
	for _, s := range all {
		label, ok := s.Metric[by]
		switch {
		case s.Histogram != nil:
			return nil, fmt.Errorf("prometheus.query gives a native histogram, which has no series by %s; ask for a classic "+
				"one", by)
		case !ok:
			return nil, fmt.Errorf("prometheus.query gives a series without the label %[1]s; group by it, as sum by (%[1]s) "+
				"(...)", by)
		}
		if _, twice := out[label]; twice {
			return nil, fmt.Errorf("prometheus.query gives several series with the same label %[1]s; sum them up, as sum by "+
				"(%[1]s) (...)", by)
		}
		f, err := s.number()
		if err != nil {
			return nil, err
		}
		out[label] = f
	}
	if len(out) == 0 {
		return nil, errNone
	}
	return out, nil
}

func vector(all []series) (any, error) {
	out := make([]float64, 0, len(all))
	for _, s := range all {
		f, err := s.number()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func matrix(all []series) (any, error) {
	switch {
	case len(all) == 0:
		return nil, errNone
	case len(all) > 1:
		return nil, fmt.Errorf("prometheus.query finds %d series, and over a time one is measured; aggregate them, as by "+
			"sum()", len(all))
	case all[0].Histograms != nil:
		return nil, errHistogram
	case len(all[0].Values) == 0:
		return nil, errNone
	}
	out := make([]float64, 0, len(all[0].Values))
	for _, p := range all[0].Values {
		f, err := p.number()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}
