package gatewayapi

import "k8s.io/apimachinery/pkg/runtime/schema"

const group = "gateway.networking.k8s.io"

// kind is one kind of route: its name in a Rollout, and what its rules can match. Rules, backendRefs, parentRefs and
// status are the same in all kinds.
type kind struct {
	schema.GroupVersionKind
	// field of spec.traffic that names a route of this kind.
	field string
	// match is what the API server fills into a match that lacks it. A rule without matches gets one of these, or none
	// where match is empty.
	match map[string]any
	// cookies: a cookie can be matched, in the header Cookie.
	cookies bool
}

var (
	httpRoute = kind{
		GroupVersionKind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: "HTTPRoute"},
		field:            "httpRoute", cookies: true,
		match: map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}},
	}
	grpcRoute = kind{
		GroupVersionKind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: "GRPCRoute"},
		field:            "grpcRoute",
	}
)

// matches is the number of a rule's matches, as the API server counts them.
func (k kind) matches(rule any) int {
	n := len(list(object(rule)["matches"]))
	if n == 0 && len(k.match) > 0 {
		return 1
	}
	return n
}

// filled is a copy of the match with what the API server would fill in, so that what is stored is what was written.
func (k kind) filled(match any) map[string]any {
	m := copied(object(match))
	if m == nil {
		m = map[string]any{}
	}
	for field, value := range k.match {
		if m[field] == nil {
			m[field] = copied(value)
		}
	}
	return m
}

// matchFields are the fields of an entry in match that a route of this kind takes.
func (k kind) matchFields() string {
	if !k.cookies {
		return "headers"
	}
	return "headers or cookies"
}

// aboutCookies is for people who meet the header Cookie where they have written cookies.
func (k kind) aboutCookies() string {
	if !k.cookies {
		return ""
	}
	return " (cookies are matched in the header Cookie)"
}
