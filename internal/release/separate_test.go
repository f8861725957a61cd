package release

import (
	"strings"
	"testing"
)

// TestFaultA11Separate: an author approves his own change neither after somebody else has changed it too, nor by an account
// that he can act as; and where not all authors are known nobody approves.
func TestFaultA11Separate(t *testing.T) {
	const ours, theirs = "system:serviceaccount:demo:bot", "system:serviceaccount:ci:bot"
	for _, tt := range []struct {
		name    string
		authors []string
		user    string
		says    string
	}{
		{"another person", []string{"alice"}, "carol", ""},
		{"the author", []string{"alice"}, "alice", "alice made this change"},
		{"the first of two authors", []string{"alice", "bob"}, "alice", "alice made this change"},
		{"the last of two authors", []string{"alice", "bob"}, "bob", "bob made this change"},
		{"nobody is known", nil, "carol", "spec.authors of the release is empty"},
		{"a ServiceAccount of the namespace", []string{"alice"}, ours, "can act as this account"},
		{"the same, though it is named", []string{"alice"}, "system:serviceaccount:demo:named", "can act as this account"},
		{"a ServiceAccount of another namespace, by its group", []string{"alice"}, theirs, "does not name"},
		{"a ServiceAccount of another namespace, by name", []string{"alice"}, "system:serviceaccount:ci:named", ""},
		{"a change by a ServiceAccount of the namespace", []string{ours}, "carol", "the author is not known"},
		{"a change by it and by a person", []string{"alice", ours}, "carol", "the author is not known"},
		{"a change by an agent of another namespace", []string{theirs}, "carol", ""},
	} {
		a := &Approval{
			Required: 1, SeparationOfDuty: true, Groups: []string{"sre", "system:serviceaccounts"},
			Users: []string{"system:serviceaccount:demo:named", "system:serviceaccount:ci:named"},
		}
		turn := &pass{s: Spec{Authors: tt.authors, Namespace: "demo", Steps: []Step{{Approval: a}}}}
		d := Decision{Verb: Approve, User: tt.user, Groups: []string{"sre", "system:serviceaccounts"}}
		got := turn.refuseApproval(d, a)
		if tt.says == "" && got.code != "" || tt.says != "" && (got.code != RefusedSeparationOfDuty || !strings.Contains(got.message, tt.says)) {
			t.Errorf("%s: refused %q: %q, want %q", tt.name, got.code, got.message, tt.says)
		}
		a.SeparationOfDuty = false
		if got := turn.refuseApproval(d, a); got.code != "" {
			t.Errorf("%s: refused without separation of duty: %q", tt.name, got.message)
		}
	}
}
