package gatewayapi

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// parties are the workloads whose releases divide the requests of one route, each with its Services. All releases
// list them in the same order, so that they all make the same rules of the same splits.
type parties struct {
	twins
	// own is the place of the workload that asks.
	own int
	// matches of each party, as the Hold has them.
	matches [][]release.Match
	// gone are those whose release has no record any more.
	gone []bool
}

// newParties lists the workload itself and those others that the Hold names.
func newParties(v view) parties {
	type party struct {
		backends []traffic.Backend
		matches  []release.Match
		own      bool
		gone     bool
	}
	all := []party{{backends: v.Backends, matches: v.hold.Matches, own: true}}
	for _, o := range v.Parties {
		if matches, held := o.Held[v.ref]; held {
			all = append(all, party{backends: o.Backends, matches: matches, gone: o.Gone})
		}
	}
	slices.SortStableFunc(all, func(a, b party) int { return strings.Compare(first(a.backends), first(b.backends)) })
	p := parties{}
	lists := make([][]traffic.Backend, len(all))
	for i, a := range all {
		lists[i] = a.backends
		p.matches, p.gone = append(p.matches, a.matches), append(p.gone, a.gone)
		if a.own {
			p.own = i
		}
	}
	p.twins = newTwins(v, lists, p.own)
	return p
}

// first is the name that a workload's Services are put in order by.
func first(backends []traffic.Backend) string {
	name := ""
	for _, b := range backends {
		if name == "" || b.Stable.Service < name {
			name = b.Stable.Service
		}
	}
	return name
}

// splits are those that the rules show now. What the matches are is taken from the Hold, since in rules that several
// releases have made together they cannot be told apart; but where no rule sends a party's testers anywhere, it has
// none: the Hold that was read may be older than the rules.
func (p parties) splits(rules []any) []traffic.Split {
	out := make([]traffic.Split, len(p.matches))
	for i := range out {
		if p.gone[i] {
			continue
		}
		out[i].Weight = int(p.least(rules, i))
		if slices.ContainsFunc(rules, func(rule any) bool { return p.generatedFor(rule, i) }) {
			out[i].Matches = p.matches[i]
		}
	}
	return out
}

// least is a party's share. Where somebody has given it different ones in several rules it is the lowest, so that
// nothing is raised on another release's behalf.
func (p parties) least(rules []any, party int) int64 {
	least := int64(-1)
	for _, rule := range rules {
		if p.sends(rule, party) && !p.generatedFor(rule, party) {
			share := p.percent(rule, party)
			if least < 0 || share < least {
				least = share
			}
		}
	}
	return max(least, 0)
}
