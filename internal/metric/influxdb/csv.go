package influxdb

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/metric"
)

var (
	errShape  = errors.New("the answer is not annotated CSV; look at influxDB.address")
	errTables = errors.New("influxDB.query gives several tables, and one is measured; group() puts them together")
	errFlux   = errors.New("influxDB.query: InfluxDB could not answer; try it in its data explorer")
	errColumn = errors.New("influxDB.query gives a table without the column _value")
)

// table is what annotated CSV says of the rows that follow.
type table struct {
	types, defaults, header []string
}

// reader goes through the rows, and keeps the newest value.
type reader struct {
	table
	annotated bool
	id        string // of the one table: its result's name, and its number
	seen      bool
	value     string
	kind      string
}

// read gives the last _value of the one table that is not null. The aggregateWindow of a time that is not over gives
// null.
func read(body []byte) (any, error) {
	c := csv.NewReader(bytes.NewReader(body))
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	r := reader{}
	for {
		row, err := c.Read()
		switch {
		case errors.Is(err, io.EOF):
			return r.result()
		case err != nil:
			return nil, errShape
		}
		if err := r.row(row); err != nil {
			return nil, err
		}
	}
}

func (r *reader) row(row []string) error {
	switch first := row[0]; {
	case strings.HasPrefix(first, "#"):
		if !r.annotated {
			r.table, r.annotated = table{}, true
		}
		switch first {
		case "#datatype":
			r.types = slices.Clone(row)
		case "#default":
			r.defaults = slices.Clone(row)
		}
		return nil
	case isError(row):
		return errFlux
	case r.annotated:
		r.header, r.annotated = slices.Clone(row), false
		return nil
	case r.header == nil || len(row) != len(r.header):
		return errShape
	}
	return r.record(row)
}

// isError holds for the header of the table that InfluxDB ends an answer with when the query fails on the way.
func isError(row []string) bool {
	if row[0] == "" {
		row = row[1:]
	}
	return len(row) == 2 && row[0] == "error" && row[1] == "reference"
}

func (r *reader) record(row []string) error {
	id := r.cell(row, "result") + "\x00" + r.cell(row, "table")
	if r.seen && id != r.id {
		return errTables
	}
	r.id, r.seen = id, true
	at := slices.Index(r.header, "_value")
	if at < 0 {
		return errColumn
	}
	if v := r.cell(row, "_value"); v != "" {
		r.value, r.kind = v, ""
		if at < len(r.types) {
			r.kind = r.types[at]
		}
	}
	return nil
}

func (r *reader) cell(row []string, column string) string {
	at := slices.Index(r.header, column)
	switch {
	case at < 0:
		return ""
	case row[at] == "" && at < len(r.defaults):
		return r.defaults[at]
	}
	return row[at]
}

func (r *reader) result() (any, error) {
	switch {
	case !r.seen:
		return nil, metric.NoData{Why: "influxDB.query gives no rows"}
	case r.value == "":
		return nil, metric.NoData{Why: "influxDB.query gives rows with no value"}
	}
	switch r.kind {
	case "double", "long", "unsignedLong":
		return metric.Number(r.value)
	case "boolean":
		return r.value == "true", nil
	case "string":
		return r.value, nil
	}
	return nil, errors.New("influxDB.query gives a _value that is no number, text or boolean")
}
