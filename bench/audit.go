package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// entry is one line of the audit log.
type entry struct {
	Verb             string `json:"verb"`
	Stage            string `json:"stage"`
	AuditID          string `json:"auditID"`
	RequestURI       string `json:"requestURI"`
	User             user   `json:"user"`
	ImpersonatedUser user   `json:"impersonatedUser"`
	ObjectRef        struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	ResponseObject json.RawMessage `json:"responseObject"`
	Received       time.Time       `json:"requestReceivedTimestamp"`
	Answered       time.Time       `json:"stageTimestamp"`
}

type user struct {
	Username string `json:"username"`
}

// auditLog is the API server's, which writes it before it answers.
type auditLog struct{ path string }

// mark is the place that the log has reached.
func (l *auditLog) mark() (int64, error) {
	info, err := os.Stat(l.path)
	if err != nil {
		return 0, fmt.Errorf("read audit log: %w", err)
	}
	return info.Size(), nil
}

// since reads all requests that were answered from a mark on. A watch is there once, from its beginning.
func (l *auditLog) since(mark int64) ([]entry, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(mark, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	var out []entry
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil // A last line without an end is still being written.
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if e.Verb != "watch" || e.Stage == "ResponseStarted" {
			out = append(out, e)
		}
	}
}

func (e entry) bySluice() bool { return e.ImpersonatedUser.Username == sluiceUser }

func (e entry) event() bool { return e.ObjectRef.Resource == "events" }

func (e entry) write() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb)
}

func (e entry) read() bool { return e.Verb == "get" || e.Verb == "list" }

// known are the resources by which Sluice asks about itself or the API, not about a release.
func (e entry) discovery() bool { return e.ObjectRef.Resource == "" }

func (e entry) done() bool { return e.ResponseStatus.Code >= 200 && e.ResponseStatus.Code < 300 }

// String says what was asked for, for people.
func (e entry) String() string {
	r := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		r += "/" + e.ObjectRef.Subresource
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s (%d)", e.Verb, r, e.ObjectRef.Name, e.ResponseStatus.Code))
}

// meta is what is read of any object.
type meta struct {
	Metadata struct {
		UID             string            `json:"uid"`
		Name            string            `json:"name"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
}

func (e entry) meta() (m meta) {
	_ = json.Unmarshal(e.ResponseObject, &m) // One that was not recorded is empty.
	return m
}

// idleWrites are those of Sluice's writes that changed nothing: refused ones, and ones whose answer has a
// resourceVersion that the object had before. The entries must be all writes of everybody.
func idleWrites(all []entry) []entry {
	seen := map[string]bool{}
	var out []entry
	for _, e := range all {
		if !e.write() || e.event() {
			continue
		}
		m := e.meta().Metadata
		version := m.UID + "/" + m.ResourceVersion
		if e.bySluice() && (!e.done() || e.Verb != "delete" && m.ResourceVersion != "" && seen[version]) {
			out = append(out, e)
		}
		seen[version] = true
	}
	return out
}
