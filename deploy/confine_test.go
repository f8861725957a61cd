package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/deploy"
)

// TestFaultA14Namespaces proves what an installation for some namespaces consists of: a Role and a RoleBinding in each, and
// no ClusterRole of the controller's that reaches into a namespace.
func TestFaultA14Namespaces(t *testing.T) {
	objects, err := deploy.Access("sluice-system", "billing", "shop")
	if err != nil {
		t.Fatal(err)
	}
	bound := map[string]bool{}
	var grants []string
	for _, object := range objects {
		name, _, _ := unstructured.NestedString(object.Object, "roleRef", "name")
		kind, _, _ := unstructured.NestedString(object.Object, "roleRef", "kind")
		if name != "" {
			bound[kind+"/"+name] = true
			grants = append(grants, fmt.Sprintf("%s/%s binds %s/%s", object.GetKind(), object.GetNamespace(), kind, name))
		}
	}
	slices.Sort(grants)
	want := []string{
		"ClusterRoleBinding/ binds ClusterRole/sluice-controller-cluster",
		"RoleBinding/billing binds Role/sluice-controller",
		"RoleBinding/shop binds Role/sluice-controller",
		"RoleBinding/sluice-system binds Role/sluice-leader",
	}
	if diff := cmp.Diff(want, grants); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	for _, object := range objects {
		if object.GetKind() != "ClusterRole" || !bound["ClusterRole/"+object.GetName()] {
			continue
		}
		for _, line := range rightsOf(t, object) {
			if resource := strings.Fields(line)[1]; !slices.Contains([]string{
				"sluice.dev/clusteranalysistemplates", "sluice.dev/clusteranalysistemplates/status", "networking.k8s.io/ingressclasses", "admissionregistration.k8s.io/mutatingadmissionpolicies[sluice-hold-workload]",
				"admissionregistration.k8s.io/mutatingadmissionpolicybindings[sluice-hold-workload]",
			}, resource) {
				t.Errorf("%s is a right in every namespace", line)
			}
		}
	}
}

// TestFaultA14PolicyScope proves that policies on objects of teams bind in these namespaces only, and those on Sluice's own
// kinds and on the controller everywhere.
func TestFaultA14PolicyScope(t *testing.T) {
	objects, err := deploy.Policies("sluice-system", "billing", "shop")
	if err != nil {
		t.Fatal(err)
	}
	var narrowed []string
	for _, object := range objects {
		list, found, _ := unstructured.NestedSlice(object.Object, "spec", "matchResources", "namespaceSelector", "matchExpressions")
		if !found {
			continue
		}
		narrowed = append(narrowed, object.GetName())
		if got, want := fmt.Sprint(list), "[map[key:kubernetes.io/metadata.name operator:In values:[billing shop]]]"; got != want {
			t.Errorf("%s binds in %s, want %s", object.GetName(), got, want)
		}
	}
	for _, name := range []string{"sluice-hold-workload", "sluice-hold-service", "sluice-hold-route", "sluice-hold-new-workload", "sluice-keep-hold"} {
		if !slices.Contains(narrowed, name) {
			t.Errorf("%s binds everywhere", name)
		}
	}
	for _, name := range narrowed {
		if strings.HasSuffix(name, "-author") || slices.Contains([]string{"sluice-keep-release", "sluice-keep-records"}, name) || name == "sluice-controller" {
			t.Errorf("%s does not bind everywhere", name)
		}
	}
}

// TestNetworkPolicy: the ports that the controller's flags name are open, and no others.
func TestNetworkPolicy(t *testing.T) {
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{nil, ""},
		{[]string{"--request-metrics=ingress-nginx"}, ""},
		{[]string{"--prometheus-address=http://prometheus.monitoring:9090", "--notify-hosts=hooks.slack.com:443,mail.example:587"}, "[map[ports:[map[port:443 protocol:TCP] map[port:587 protocol:TCP] map[port:9090 protocol:TCP]]]]"},
		{[]string{"--prometheus-address", "https://prometheus.monitoring"}, "[map[ports:[map[port:443 protocol:TCP]]]]"},
		{[]string{"--prometheus-address=http://prometheus.monitoring"}, "[map[ports:[map[port:80 protocol:TCP]]]]"},
		{[]string{"--metric-hosts=*.example.com"}, "[map[]]"}, // Any port, since it may ask at any.
	} {
		objects, err := deploy.ControllerObjects(deploy.Namespace, "", test.flags...)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "NetworkPolicy" })
		if i < 0 {
			t.Fatal("there is no NetworkPolicy")
		}
		if err := deploy.OpenPorts(objects[i], 36443); err != nil {
			t.Fatal(err)
		}
		egress, _, _ := unstructured.NestedSlice(objects[i].Object, "spec", "egress")
		if len(egress) < 3 {
			t.Fatalf("egress is %v", egress)
		}
		more, last := egress[2:len(egress)-1], egress[len(egress)-1]
		if got := fmt.Sprint(last); got != "map[ports:[map[port:36443 protocol:TCP]]]" {
			t.Errorf("%v: the API server's port is not open: %s", test.flags, got)
		}
		got := ""
		if len(more) > 0 {
			got = fmt.Sprint(more)
		}
		if got != test.want {
			t.Errorf("%v opens %s, want %s", test.flags, got, test.want)
		}
	}
}
