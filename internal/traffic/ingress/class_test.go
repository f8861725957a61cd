package ingress_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/ingress"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

// anIngress leads a host's path to a Service.
func anIngress(namespace, name, class, host, path, service string, annotations ...string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
		"spec": map[string]any{"rules": []any{map[string]any{"host": host, "http": map[string]any{"paths": []any{map[string]any{
			"path": path, "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{"name": service, "port": map[string]any{"number": int64(80)}}},
		}}}}}},
	}}
	u.SetNamespace(namespace)
	u.SetName(name)
	notes := map[string]string{}
	for i := 0; i+1 < len(annotations); i += 2 {
		notes[annotations[i]] = annotations[i+1]
	}
	if notes["kubernetes.io/ingress.class"] == "" && class != "" {
		u.Object["spec"].(map[string]any)["ingressClassName"] = class
	}
	u.SetAnnotations(notes)
	return u
}

// world is one in which the team has this Ingress.
func world(u *unstructured.Unstructured) traffic.World {
	return traffic.World{Rollout: "shop", Objects: traffictest.Objects{traffic.RefOf(u): u}, Backends: backends()}
}

const isCanary = "nginx.ingress.kubernetes.io/canary"

// TestFaultB8Class: an Ingress whose controller does not read ingress-nginx's annotations would get 20% of nothing. It is
// refused, with the field that says otherwise, unless the Rollout says so.
func TestFaultB8Class(t *testing.T) {
	legacy := []string{"kubernetes.io/ingress.class", "nginx"}
	for _, c := range []struct {
		name, class string
		notes       []string
		seen        *traffic.Class
		said        string
		refused     string
	}{
		{"ingress-nginx", "nginx", nil, &traffic.Class{Name: "nginx", Controller: "k8s.io/ingress-nginx"}, "", ""},
		{"a second ingress-nginx", "internal", nil, &traffic.Class{Name: "internal", Controller: "k8s.io/internal-ingress-nginx"}, "", ""},
		{"a third", "x", nil, &traffic.Class{Name: "x", Controller: "k8s.io/ingress-nginx-partners"}, "", ""},
		{"Azure's", "w", nil, &traffic.Class{Name: "w", Controller: "webapprouting.kubernetes.azure.com/nginx"}, "", ""},
		{"alb", "alb", nil, &traffic.Class{Name: "alb", Controller: "ingress.k8s.aws/alb"}, "", "ingress.k8s.aws/alb is not known"},
		{"alb that is called nginx", "nginx", nil, &traffic.Class{Name: "nginx", Controller: "ingress.k8s.aws/alb"}, "", "ingress.k8s.aws/alb"},
		{"istio", "istio", nil, &traffic.Class{Name: "istio", Controller: "istio.io/ingress-controller"}, "", "istio.io"},
		{"F5's nginx", "nginx", nil, &traffic.Class{Name: "nginx", Controller: "nginx.org/ingress-controller"}, "", "nginx.org"},
		{"traefik", "traefik", nil, &traffic.Class{Name: "traefik", Controller: "traefik.io/ingress-controller"}, "", "traefik.io"},
		{"alb, but the Rollout says nginx", "alb", nil, &traffic.Class{Name: "alb", Controller: "ingress.k8s.aws/alb"}, "nginx", ""},
		{"no class", "", nil, &traffic.Class{}, "", "names no class"},
		{"no class, but the Rollout says nginx", "", nil, &traffic.Class{}, "nginx", ""},
		{"no such class", "gone", nil, &traffic.Class{Name: "gone"}, "", "there is no IngressClass"},
		{"the annotation needs no IngressClass", "", legacy, &traffic.Class{Name: "nginx"}, "", ""},
		{"an annotation of another's", "", []string{"kubernetes.io/ingress.class", "gce"}, &traffic.Class{Name: "gce"}, "", "there is no IngressClass"},
		{"no right to look, nginx by name", "nginx", nil, &traffic.Class{Name: "nginx", Unreadable: true}, "", ""},
		{"no right to look, another by name", "alb", nil, &traffic.Class{Name: "alb", Unreadable: true}, "", "right to get ingressclasses"},
		{"nobody has looked", "alb", nil, nil, "", ""},
	} {
		w := world(anIngress("demo", "shop", c.class, "shop.demo", "/", "shop", c.notes...))
		w.Class = c.seen
		err := ingress.New("shop", c.said).Check(w, []traffic.Split{{Weight: 20}})
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: refused: %v", c.name, err)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "spec.traffic[].ingress.controller")):
			t.Errorf("%s: want a refusal with %q and the remedy, got %v", c.name, c.refused, err)
		}
	}
}

// TestFaultC4Rivals: ingress-nginx heeds one canary of a backend, whatever its name and namespace, and says nothing of the
// others. Each way to be one is found, and what is none is left alone.
func TestFaultC4Rivals(t *testing.T) {
	route := anIngress("demo", "shop", "nginx", "Shop.demo", "/", "shop")
	for _, c := range []struct {
		name   string
		others []*unstructured.Unstructured
		rival  string
	}{
		{"none", nil, ""},
		{"a preview by header", []*unstructured.Unstructured{anIngress("demo", "shop-preview", "nginx", "shop.demo", "/", "preview", isCanary, "true", isCanary+"-by-header", "X-P")}, "demo/shop-preview"},
		{"one in another namespace", []*unstructured.Unstructured{anIngress("other", "a", "nginx", "shop.demo", "/", "x", isCanary, "true")}, "other/a"},
		{"one of another Ingress of the same Service", []*unstructured.Unstructured{
			anIngress("demo", "www", "nginx", "www.demo", "/", "shop"), anIngress("demo", "www-c", "nginx", "www.demo", "/", "x", isCanary, "1"),
		}, "demo/www-c"},
		{"one of another Service's path", []*unstructured.Unstructured{
			anIngress("demo", "www", "nginx", "www.demo", "/", "assets"), anIngress("demo", "www-c", "nginx", "www.demo", "/", "x", isCanary, "true"),
		}, ""},
		{"no canary", []*unstructured.Unstructured{anIngress("demo", "b", "nginx", "shop.demo", "/", "x", isCanary, "false")}, ""},
		{"of another class", []*unstructured.Unstructured{anIngress("demo", "b", "internal", "shop.demo", "/", "x", isCanary, "true")}, ""},
		{"Sluice's own", []*unstructured.Unstructured{anIngress("demo", "shop-canary", "nginx", "shop.demo", "/", "shop-canary", isCanary, "true")}, ""},
		{"another path", []*unstructured.Unstructured{anIngress("demo", "b", "nginx", "shop.demo", "/api", "x", isCanary, "true")}, ""},
	} {
		w := world(route)
		w.Others = append(c.others, route)
		found := ingress.New("shop", "").(traffic.Contended).Contention(w)
		if got := found != ""; got != (c.rival != "") {
			t.Errorf("%s: found %q", c.name, found)
			continue
		}
		if !strings.Contains(found, c.rival) {
			t.Errorf("%s: %s does not name %s", c.name, found, c.rival)
		}
	}
}

// TestFaultC1Version: a change of what the canary Ingress steers is another version, and what controllers write to its
// status is none.
func TestFaultC1Version(t *testing.T) {
	beside := func(change func(*unstructured.Unstructured)) string {
		route := anIngress("demo", "shop", "nginx", "shop.demo", "/", "shop")
		p, w := ingress.New("shop", ""), world(route)
		made := p.Apply(w, traffic.Split{Weight: 20})[0]
		made.After.SetUID("1")
		change(made.After)
		w.Objects[made.Ref] = made.After
		return p.Read(w).Version
	}
	same := beside(func(*unstructured.Unstructured) {})
	if got := beside(func(u *unstructured.Unstructured) {
		u.SetResourceVersion("7")
		u.Object["status"] = map[string]any{"loadBalancer": map[string]any{}}
	}); got != same || got == "" {
		t.Errorf("a status makes %q of %q", got, same)
	}
	for name, change := range map[string]func(*unstructured.Unstructured){
		"weight": func(u *unstructured.Unstructured) {
			a := u.GetAnnotations()
			a[isCanary+"-weight"] = "21"
			u.SetAnnotations(a)
		},
		"made anew": func(u *unstructured.Unstructured) { u.SetUID("2") },
		"spec":      func(u *unstructured.Unstructured) { u.Object["spec"].(map[string]any)["ingressClassName"] = "x" },
	} {
		if got := beside(change); got == same {
			t.Errorf("%s: the same version", name)
		}
	}
	alone := world(anIngress("demo", "shop", "nginx", "a", "/", "shop"))
	if got := ingress.New("shop", "").Read(alone).Version; got != "" {
		t.Errorf("without a canary Ingress: version %q", got)
	}
}
