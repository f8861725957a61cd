package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"
)

// response is the envelope of every answer.
type response struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// badDataError is a fault of the request.
type badDataError struct{ error }

func (e badDataError) Unwrap() error { return e.error }

func badData(err error) error { return badDataError{err} }

func invalid(parameter string, err error) error {
	return badData(fmt.Errorf("invalid parameter %q: %w", parameter, err))
}

// answering puts what a function gives, or its error, into the envelope.
func answering(serve func(*http.Request) (any, annotations.Annotations, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			answerError(w, badData(fmt.Errorf("parse form values: %w", err)))
			return
		}
		data, notes, err := serve(r)
		if err != nil {
			answerError(w, err)
			return
		}
		warnings, infos := notes.AsStrings(r.FormValue("query"), maxNotes, maxNotes)
		write(w, http.StatusOK, response{Status: "success", Data: data, Warnings: warnings, Infos: infos})
	})
}

func answerError(w http.ResponseWriter, err error) {
	code, kind := classify(err)
	write(w, code, response{Status: "error", ErrorType: kind, Error: err.Error()})
}

// classify gives an error the code and the type that Prometheus gives it.
func classify(err error) (code int, kind string) {
	var (
		bad      badDataError
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		storage  promql.ErrStorage
	)
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest, "bad_data"
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return statusClientGone, "canceled"
	case errors.As(err, &timeout):
		return http.StatusServiceUnavailable, "timeout"
	case errors.As(err, &storage):
		return http.StatusInternalServerError, "internal"
	}
	return http.StatusUnprocessableEntity, "execution"
}

func write(w http.ResponseWriter, code int, r response) {
	body, err := json.Marshal(r)
	if err != nil {
		http.Error(w, fmt.Sprintf("encode answer: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
