package ingress

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/beside"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

const prefix = "nginx.ingress.kubernetes.io/"

// The annotations that make an Ingress a canary.
const (
	canaryOn      = prefix + "canary"
	canaryWeight  = prefix + "canary-weight"
	canaryTotal   = prefix + "canary-weight-total"
	canaryHeader  = prefix + "canary-by-header"
	canaryValue   = prefix + "canary-by-header-value"
	canaryPattern = prefix + "canary-by-header-pattern"
	canaryCookie  = prefix + "canary-by-cookie"
)

// cookieFirst is an annotation of Sluice's own: the step names the cookie before the header. ingress-nginx does
// not care, but the step is to be read back as it was written.
const cookieFirst = "sluice.dev/cookie-first"

// always is the value that sends a request to the canary by header or cookie alone; its counterpart "never"
// keeps it away.
const always = "always"

// An expression must match a header's whole value; ingress-nginx by itself looks for it anywhere.
const (
	wholeOpen  = "^(?:"
	wholeClose = ")$"
)

// carried are those of the team's annotations that the canary Ingress has too: ingress-nginx takes session
// affinity and load balancing from there, and other controllers all.
func carried(team map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range team {
		if carries(k) {
			out[k] = v
		}
	}
	return out
}

func carries(key string) bool {
	name := key[strings.LastIndex(key, "/")+1:]
	return !strings.HasPrefix(name, "canary") && beside.OnIngress(key)
}

// steersCanary says whether the annotation decides which requests the canary gets.
func steersCanary(key string) bool {
	return key == canaryOn || key == cookieFirst || strings.HasPrefix(key, canaryOn+"-")
}

// Divides says whether an Ingress is a canary.
func (Provider) Divides(u *unstructured.Unstructured) bool { return isCanary(u.GetAnnotations()) }

// isCanary says whether the annotations make an Ingress a canary.
func isCanary(annotations map[string]string) bool {
	on, err := strconv.ParseBool(annotations[canaryOn])
	return err == nil && on
}

// writeSplit sets the canary annotations.
func writeSplit(annotations map[string]string, s traffic.Split) {
	annotations[canaryOn] = "true"
	annotations[canaryWeight] = strconv.Itoa(s.Weight)
	for _, m := range s.Matches {
		for _, h := range m.Headers {
			annotations[canaryHeader] = h.Name
			if annotations[canaryCookie] != "" {
				annotations[cookieFirst] = "true"
			}
			switch {
			case h.Regex != "":
				annotations[canaryPattern] = wholeOpen + h.Regex + wholeClose
			case h.Value != always:
				annotations[canaryValue] = h.Value
			}
		}
		for _, c := range m.Cookies {
			annotations[canaryCookie] = c.Name
		}
	}
}

// readSplit is what ingress-nginx makes of the annotations.
func readSplit(annotations map[string]string) traffic.Split {
	if !isCanary(annotations) {
		return traffic.Split{}
	}
	s := traffic.Split{Weight: readWeight(annotations)}
	if name := annotations[canaryHeader]; name != "" {
		s.Matches = append(s.Matches, release.Match{Headers: []release.HeaderMatch{readHeader(name, annotations)}})
	}
	if name := annotations[canaryCookie]; name != "" {
		s.Matches = append(s.Matches, release.Match{Cookies: []release.CookieMatch{{Name: name, Value: always}}})
	}
	if annotations[cookieFirst] != "" {
		slices.Reverse(s.Matches)
	}
	return s
}

func readHeader(name string, annotations map[string]string) release.HeaderMatch {
	value, pattern := annotations[canaryValue], annotations[canaryPattern]
	switch {
	case value != "":
		return release.HeaderMatch{Name: name, Value: value}
	case pattern == "":
		return release.HeaderMatch{Name: name, Value: always}
	}
	inner, opened := strings.CutPrefix(pattern, wholeOpen)
	inner, closed := strings.CutSuffix(inner, wholeClose)
	if !opened || !closed || inner == "" {
		inner = ".*(?:" + pattern + ").*" // somebody else's, not anchored
	}
	return release.HeaderMatch{Name: name, Regex: inner}
}

// readWeight is the share in percent: 0 or 100 only when it is exactly that.
func readWeight(annotations map[string]string) int {
	weight, err := strconv.Atoi(annotations[canaryWeight])
	if err != nil || weight <= 0 {
		return 0
	}
	total, err := strconv.Atoi(annotations[canaryTotal])
	if err != nil || total < 100 {
		total = 100
	}
	if weight >= total {
		return 100
	}
	share := math.Round(float64(weight) * 100 / float64(total))
	return int(min(max(share, 1), 99))
}
