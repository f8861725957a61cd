package metric

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the length of a value or a message in a status, in bytes.
const MaxText = 1024

// Number reads a number as monitoring systems write it. What they write for none (NaN, Inf) is NoData: it compares as
// false with everything, and so as good under a condition that says what is bad.
func Number(text string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return 0, errors.New("the answer has something that is no number")
	}
	return Finite(f)
}

// Finite is f, or NoData.
func Finite(f float64) (float64, error) {
	switch {
	case math.IsNaN(f):
		return 0, NoData{"the value is NaN, as of a division by zero requests"}
	case math.IsInf(f, 0):
		return 0, NoData{"the value is infinite, as of a division by zero requests"}
	}
	return f, nil
}

// errNotJSON does not say what the answer is instead: that may be anything, secrets included.
var errNotJSON = errors.New("the answer is not JSON")

// Decode reads one JSON value. All numbers are float64, so that 1/3 in a condition is a third and not zero.
func Decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // or 1e999 would be a fault of the JSON
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errNotJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	return numbers(v)
}

func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return Number(v.String())
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// Text is a value for people: at most MaxText bytes on one line, without what would move a terminal's cursor.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return number(v)
	case string:
		return Bounded(v, MaxText)
	case Absent:
		return ""
	case []float64:
		if len(v) == 1 {
			return number(v[0])
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return Bounded(fmt.Sprint(v), MaxText)
	}
	return Bounded(strings.TrimSuffix(b.String(), "\n"), MaxText)
}

// number writes the exponent only where the zeros would be many.
func number(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e15) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// Bounded is at most limit bytes of a text of others, on one line and without control characters.
func Bounded(s string, limit int) string {
	const dots = "..."
	long := len(s) > limit
	if long {
		s = s[:limit]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if !long && len(s) <= limit {
		return s
	}
	s = s[:min(len(s), limit-len(dots))]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + dots
}
