package admission_test

import (
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestNotifierAuthor: the same for Notifiers.
func TestNotifierAuthor(t *testing.T) {
	w := newAuthors(t)
	spec := reflect.TypeFor[v1alpha1.NotifierSpec]()
	for _, p := range places(spec) {
		where := "spec." + p.String()
		t.Run(where, func(t *testing.T) {
			w.wantAnswer(t, w.try("ann", notifiers, p.object(t, "Notifier", spec, "ours")), "")
			w.wantAnswer(t, w.try("bob", notifiers, p.object(t, "Notifier", spec, "theirs")), "")
			w.wantAnswer(t, w.try("ann", notifiers, p.object(t, "Notifier", spec, "theirs")), where+`.name: "ann" may not read Secret NS/theirs, `+
				`and so may not have Sluice read it; name one that you may read, or ask for the RBAC verb "get" on it`)
			w.wantAnswer(t, w.try("lea", notifiers, p.object(t, "Notifier", spec, "theirs")), `"lea" may not read Secret NS/`)
		})
	}
	w.role("three", "{apiGroups: [''], resources: [secrets], resourceNames: [a, b, c], verbs: [get]}")
	w.bind("ann", "Role", "three")
	webhook := "webhook: {url: {name: a, key: k}, signingKey: {name: b, key: k}, authorization: {name: c, key: k}}"
	w.wantAnswer(t, w.try("ann", notifiers, notifier(t, webhook)), "")
	for secret, field := range map[string]string{"a": "url", "b": "signingKey", "c": "authorization"} {
		sink := strings.Replace(webhook, "name: "+secret, "name: theirs", 1)
		w.wantAnswer(t, w.try("ann", notifiers, notifier(t, sink)), "spec.sink.webhook."+field+`.name: "ann" may not read Secret NS/theirs`)
	}
	w.wantAnswer(t, w.try("nan", notifiers, notifier(t, "email: {host: mail, from: a@b, to: [c@d]}")), "")
}

// TestNotifierChange: who changes a Notifier answers for all of it, or the messages of a team would go wherever he likes
// with the team's password.
func TestNotifierChange(t *testing.T) {
	w := newAuthors(t)
	made := notifier(t, "email: {host: mail.example, from: a@b, to: [c@d], auth: {name: ours}}")
	if _, err := w.as("ann", notifiers).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		by, patch, refuse string
	}{
		{by: "nan", patch: `{metadata: {labels: {team: shop}}}`},
		{by: "nan", patch: `{spec: {sink: {email: {host: evil.example}}}}`, refuse: `spec.sink.email.auth.name: "nan" may not read Secret NS/ours`},
		{by: "ann", patch: `{spec: {sink: {email: {host: evil.example}}}}`},
		{by: "ann", patch: `{spec: {sink: {email: {auth: {name: theirs}}}}}`, refuse: `"ann" may not read Secret NS/theirs`},
		{by: "nan", patch: `{spec: {sink: {email: {auth: null}}}}`},
	} {
		_, err := w.as(test.by, notifiers).Patch(t.Context(), "chat", types.MergePatchType, asJSON(t, test.patch), metav1.PatchOptions{})
		w.wantAnswer(t, err, test.refuse)
	}
}
