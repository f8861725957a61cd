package route

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

var rewrite = flag.Bool("rewrite", false, "write what Translate gives into testdata")

// TestTranslate reads each testdata/*.txtar: objects in (in.yaml), and what is
// made of them (want.yaml).
func TestTranslate(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(t, Translate(worldOf(t, section(t, archive, "in.yaml"))))
			if *rewrite {
				setSection(archive, "want.yaml", got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(section(t, archive, "want.yaml")), string(got)); diff != "" {
				t.Errorf("-want +got (go test -rewrite writes it):\n%s", diff)
			}
		})
	}
}

func section(t *testing.T, a *txtar.Archive, name string) []byte {
	t.Helper()
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	if *rewrite {
		return nil
	}
	t.Fatalf("no section %s", name)
	return nil
}

func setSection(a *txtar.Archive, name string, data []byte) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = data
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: data})
}

// describe prints a result without what is the same in all of them.
func describe(t *testing.T, r Result) []byte {
	t.Helper()
	out := map[string]any{"table": r.Table.Dump()}
	var problems []string
	for _, p := range r.Problems {
		problems = append(problems, p.Object.Kind+" "+p.Object.Namespace+"/"+p.Object.Name+": "+p.Reason+": "+p.Message)
	}
	if problems != nil {
		out["problems"] = problems
	}
	routes := map[string][]string{}
	for name, parents := range r.Routes {
		for _, p := range parents {
			routes[name.String()] = append(routes[name.String()], conditions(string(p.ParentRef.Name), p.Conditions)...)
		}
	}
	if len(routes) > 0 {
		out["routes"] = routes
	}
	gateways := map[string][]string{}
	for name, s := range r.Gateways {
		lines := conditions("gateway", s.Conditions)
		for _, l := range s.Listeners {
			lines = append(lines, conditions(fmt.Sprintf("%s with %d routes", l.Name, l.AttachedRoutes), l.Conditions)...)
		}
		gateways[name.String()] = lines
	}
	if len(gateways) > 0 {
		out["gateways"] = gateways
	}
	data, err := yaml.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func conditions(of string, cs []metav1.Condition) []string {
	var lines []string
	for _, c := range cs {
		line := fmt.Sprintf("%s: %s=%s %s at generation %d", of, c.Type, c.Status, c.Reason, c.ObservedGeneration)
		if c.Message != "" {
			line += ": " + c.Message
		}
		lines = append(lines, line)
	}
	return lines
}

// worldOf reads objects. Strict: a misspelt field in a test is an error.
func worldOf(t testing.TB, manifests []byte) World {
	t.Helper()
	sch := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(sch), gatewayv1.Install(sch)); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(sch, serializer.EnableStrict).UniversalDeserializer()
	w := World{IngressClass: "nginx", Controller: "sluice.dev/playground", Address: "127.0.0.1"}
	services := map[string]*corev1.Service{}
	endpoints := map[string][]*discoveryv1.EndpointSlice{}
	labels := map[string]map[string]string{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		o, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		switch o := o.(type) {
		case *networkingv1.Ingress:
			w.Ingresses = append(w.Ingresses, o)
		case *gatewayv1.GatewayClass:
			w.GatewayClasses = append(w.GatewayClasses, o)
		case *gatewayv1.Gateway:
			w.Gateways = append(w.Gateways, o)
		case *gatewayv1.HTTPRoute:
			w.HTTPRoutes = append(w.HTTPRoutes, o)
		case *gatewayv1.ReferenceGrant:
			w.Grants = append(w.Grants, o)
		case *corev1.Service:
			services[o.Namespace+"/"+o.Name] = o
		case *discoveryv1.EndpointSlice:
			key := o.Namespace + "/" + o.Labels[discoveryv1.LabelServiceName]
			endpoints[key] = append(endpoints[key], o)
		case *corev1.Namespace:
			labels[o.Name] = o.Labels
		default:
			t.Fatalf("a world has no %T", o)
		}
	}
	// Informers list in no order; the result must not depend on it.
	slices.Reverse(w.Ingresses)
	w.Service = func(ns, name string) *corev1.Service { return services[ns+"/"+name] }
	w.EndpointSlices = func(ns, name string) []*discoveryv1.EndpointSlice { return endpoints[ns+"/"+name] }
	w.NamespaceLabels = func(name string) map[string]string { return labels[name] }
	return w
}
