package metric

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// hostRule is one entry of --metric-hosts.
type hostRule struct {
	any     bool       // *
	suffix  string     // ".example.com" of *.example.com
	host    string     // otherwise
	address netip.Addr // of host, if it is one
	port    string     // empty: all
}

func parseHostRule(text string) (hostRule, error) {
	if text == "*" {
		return hostRule{any: true}, nil
	}
	r := hostRule{}
	if host, port, err := net.SplitHostPort(text); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return hostRule{}, errors.New("the port is not between 1 and 65535")
		}
		text, r.port = host, port
	}
	text = canonical(text)
	if suffix, ok := strings.CutPrefix(text, "*."); ok {
		r.suffix, text = "."+suffix, suffix
	}
	if a, err := netip.ParseAddr(text); err == nil && r.suffix == "" {
		r.host, r.address = a.Unmap().WithZone("").String(), a.Unmap().WithZone("")
		return r, nil
	}
	if !isName(text) {
		return hostRule{}, errors.New("write HOST, HOST:PORT, *.SUFFIX or *, without http:// and path")
	}
	if r.suffix == "" {
		r.host = text
	}
	return r, nil
}

// isName holds for names in ASCII. One that ends in a number is refused: resolvers read 127.1 as an address.
func isName(s string) bool {
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := s[strings.LastIndex(s, ".")+1:]
	return len(s) <= 253 && strings.Trim(last, "0123456789") != ""
}

// canonical is the host as rules have it.
func canonical(host string) string {
	host = strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return host
}

func (r hostRule) matches(host, port string) bool {
	switch {
	case r.port != "" && r.port != port:
		return false
	case r.any:
		return true
	case r.suffix != "":
		return strings.HasSuffix(host, r.suffix) && len(host) > len(r.suffix)
	}
	return r.host == host
}

func (r hostRule) portNumber() uint16 {
	n, _ := strconv.ParseUint(r.port, 10, 16) // was checked when the rule was read; none is 0
	return uint16(n)
}

// Where a machine tells whoever asks from it what only the machine should know, beside the link-local addresses.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
}

// The IPv6 networks that carry IPv4 addresses, and where in them.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64 of one's own, in its usual length
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated
}

var (
	zeroNetwork = netip.MustParsePrefix("0.0.0.0/8")
	reserved    = netip.MustParsePrefix("240.0.0.0/4")
	teredo      = netip.MustParsePrefix("2001::/32")
)

// loopback is the only kind that an option lets through.
const loopback = "a loopback address"

// embedded is the address itself and the IPv4 address that it carries, if any.
func embedded(a netip.Addr) []netip.Addr {
	a = a.Unmap().WithZone("")
	out := []netip.Addr{a}
	if !a.Is6() || a == netip.IPv6Loopback() || a == netip.IPv6Unspecified() {
		return out
	}
	b := a.As16()
	for _, c := range carriers {
		if c.prefix.Contains(a) {
			out = append(out, netip.AddrFrom4([4]byte(b[c.at:c.at+4])))
		}
	}
	return out
}

// forbidden is what kind of address this is, if no metric may be read from it; a is unmapped.
func forbidden(a netip.Addr) string {
	for _, p := range metadata {
		if p.Contains(a) {
			return "that of a cloud's metadata service"
		}
	}
	switch {
	case a.IsLoopback():
		return loopback
	case a.IsUnspecified() || zeroNetwork.Contains(a):
		return "an unspecified address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a.IsMulticast():
		return "a multicast address"
	case reserved.Contains(a) || teredo.Contains(a):
		return "a reserved address"
	}
	return ""
}

// What is not on the public internet, beside the private networks of RFC 1918 and RFC 4193.
var special = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001:db8::/32"),
}

var unicast6 = netip.MustParsePrefix("2000::/3")

func public(a netip.Addr) bool {
	if a.IsPrivate() || a.IsLoopback() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.Is4() || unicast6.Contains(a) || carriers[0].prefix.Contains(a)
}
