package rollout

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// plainSuffix is what a canary Service's name has after that of the team's Service, if nothing speaks against it.
const plainSuffix = "-canary"

// serviceNameLimit is the longest name of a Service.
const serviceNameLimit = 63

// twinName is the name of the canary Service beside a Service of the team's, in the release under way or in the next.
func (w *world) twinName(service string) string {
	suffix := plainSuffix
	if rel := w.active(); rel != nil {
		suffix = cmp.Or(rel.Spec.CanarySuffix, plainSuffix)
	}
	return twinName(service, suffix)
}

// twinName is bounded: of a long name a digest stands for the end.
func twinName(service, suffix string) string {
	if len(service)+len(suffix) <= serviceNameLimit {
		return service + suffix
	}
	sum := sha256.Sum256([]byte(service))
	digest := "-" + hex.EncodeToString(sum[:4])
	return strings.TrimRight(service[:serviceNameLimit-len(digest)-len(suffix)], "-") + digest + suffix
}

// suffixOf is the suffix for a release of this number. Where sessions stay where they are by a cookie that names the
// Service, each release has a Service of its own: else whoever was sent to the new version of an earlier release would go
// straight to this one's, whatever its weight.
func (w *world) suffixOf(number int64) string {
	if slices.ContainsFunc(w.layers, (*layer).sticky) || slices.ContainsFunc(w.services, (*service).sticky) {
		return fmt.Sprintf("%s-%d", plainSuffix, number)
	}
	return plainSuffix
}

func (l *layer) sticky() bool {
	s, ok := l.provider.(traffic.Sticky)
	return ok && s.Sticky(l.world)
}

// sticky says whether annotations of the Service ask a gateway for sticky sessions, as Traefik's do
// (traefik.ingress.kubernetes.io/service.sticky.cookie).
func (s *service) sticky() bool {
	for key, value := range s.object.Annotations {
		_, name, _ := strings.Cut(key, "/")
		if value != "false" && (strings.Contains(name, "sticky") || strings.Contains(name, "affinity")) {
			return true
		}
	}
	return false
}
