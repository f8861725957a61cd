package deploy

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// setEgress opens the ports that the controller's flags name. A host that is allowed at any port opens every port.
func setEgress(policy *unstructured.Unstructured, flags []string) error {
	ports, all := portsOf(flags)
	if len(ports) == 0 && !all {
		return nil
	}
	egress, _, err := unstructured.NestedSlice(policy.Object, "spec", "egress")
	if err != nil {
		return fmt.Errorf("read egress of NetworkPolicy %s: %w", policy.GetName(), err)
	}
	rule := map[string]any{}
	if !all {
		rule = atPorts(ports)
	}
	return unstructured.SetNestedSlice(policy.Object, append(egress, rule), "spec", "egress")
}

// OpenPorts lets the controller out at further ports, as the API server's own.
func OpenPorts(policy *unstructured.Unstructured, ports ...int64) error {
	if len(ports) == 0 {
		return nil
	}
	egress, _, err := unstructured.NestedSlice(policy.Object, "spec", "egress")
	if err != nil {
		return fmt.Errorf("read egress of NetworkPolicy %s: %w", policy.GetName(), err)
	}
	return unstructured.SetNestedSlice(policy.Object, append(egress, atPorts(ports)), "spec", "egress")
}

func atPorts(ports []int64) map[string]any {
	var list []any
	for _, port := range ports {
		list = append(list, map[string]any{"protocol": "TCP", "port": port})
	}
	return map[string]any{"ports": list}
}

// portsOf are the ports at which the controller may ask or tell somebody by its flags, in order, and whether it may at
// every port. What cannot be read is the controller's to complain of.
func portsOf(flags []string) (ports []int64, all bool) {
	add := func(text string) {
		if n, err := strconv.ParseInt(text, 10, 32); err == nil && !slices.Contains(ports, n) {
			ports = append(ports, n)
		}
	}
	for i, flag := range flags {
		name, value, given := strings.Cut(flag, "=")
		if !given && i+1 < len(flags) {
			value = flags[i+1]
		}
		switch name {
		case "--prometheus-address":
			if u, err := url.Parse(value); err == nil && u.Host != "" {
				add(portOf(u))
			}
		case "--metric-hosts", "--notify-hosts":
			for host := range strings.SplitSeq(value, ",") {
				if _, port, err := net.SplitHostPort(host); err == nil {
					add(port)
				} else if host != "" {
					all = true
				}
			}
		}
	}
	slices.Sort(ports)
	return ports, all
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
