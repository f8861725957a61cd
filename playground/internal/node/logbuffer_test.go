package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &logBuffer{}
		begin := time.Now()
		for i := range 3 {
			fmt.Fprintf(b, "line %d\n", i)
			time.Sleep(time.Second)
		}
		fmt.Fprint(b, "half")
		stamp := func(i int) string {
			return begin.Add(time.Duration(i) * time.Second).UTC().Format(time.RFC3339Nano)
		}
		for _, tc := range []struct {
			name string
			q    logQuery
			want string
		}{
			{"all", logQuery{tail: -1}, "line 0\nline 1\nline 2\n"},
			{"tail", logQuery{tail: 1}, "line 2\n"},
			{"no tail at all", logQuery{tail: 0}, ""},
			{"since", logQuery{tail: -1, since: begin.Add(time.Second)}, "line 1\nline 2\n"},
			{"limit", logQuery{tail: -1, limit: 10}, "line 0\nlin"},
			{"timestamps", logQuery{tail: 2, timestamps: true}, stamp(1) + " line 1\n" + stamp(2) + " line 2\n"},
		} {
			var got bytes.Buffer
			if err := b.copyTo(t.Context(), &got, tc.q); err != nil || got.String() != tc.want {
				t.Errorf("%s: %q, %v; want %q", tc.name, got.String(), err, tc.want)
			}
		}
		_ = b.Close()
		var got bytes.Buffer
		if err := b.copyTo(t.Context(), &got, logQuery{tail: 1, follow: true}); err != nil || got.String() != "half\n" {
			t.Errorf("after the end: %q, %v", got.String(), err)
		}
	})
}

func TestLogFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, got := &logBuffer{}, &bytes.Buffer{}
		done := make(chan error)
		go func() { done <- b.copyTo(t.Context(), got, logQuery{tail: -1, follow: true}) }()
		for i := range 3 {
			synctest.Wait()
			fmt.Fprintf(b, "line %d\n", i)
		}
		_ = b.Close()
		if err := <-done; err != nil || got.String() != "line 0\nline 1\nline 2\n" {
			t.Errorf("followed %q, %v", got.String(), err)
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	b := &logBuffer{}
	for i := range 10_000 {
		fmt.Fprintf(b, "line %d %s\n", i, strings.Repeat("x", 90))
	}
	var got bytes.Buffer
	if err := b.copyTo(t.Context(), &got, logQuery{tail: -1}); err != nil {
		t.Fatal(err)
	}
	if got.Len() > logLimit || !strings.Contains(got.String(), "line 9999") || strings.Contains(got.String(), "line 100 ") {
		t.Errorf("%d bytes kept, limit %d", got.Len(), logLimit)
	}
}
