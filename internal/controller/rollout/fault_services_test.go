package rollout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// metricsService is a second Service of shop's, to which no layer leads.
func metricsService() *corev1.Service {
	s := webService()
	s.Name, s.UID = "metrics", "service-metrics"
	return s
}

// leaving has a Rollout leave these Services as they are.
func leaving(ro *v1alpha1.Rollout, names ...string) *v1alpha1.Rollout {
	ro.Spec.Services = nil
	for _, n := range names {
		ro.Spec.Services = append(ro.Spec.Services, v1alpha1.ServiceRule{Name: n, Policy: v1alpha1.ServiceLeave})
	}
	return ro
}

func (c *cluster) service(name string) *corev1.Service {
	c.t.Helper()
	s := &corev1.Service{}
	if !c.get(s, name) {
		return nil
	}
	return s
}

// dressed is a Service as teams have it: found by a ServiceMonitor, deployed by Helm and Argo CD, with a load balancer.
func dressed() *corev1.Service {
	s := webService()
	s.Labels = map[string]string{
		"app": shop, "app.kubernetes.io/instance": "prod", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "shop-1.2",
		v1alpha1.LabelRollout: "another", v1alpha1.LabelRelease: "another-7", "sluice.dev/x": "y",
	}
	s.Annotations = map[string]string{
		"prometheus.io/scrape": "true", "konghq.com/plugins": "limit",
		corev1.LastAppliedConfigAnnotation: "{}", "argocd.argoproj.io/tracking-id": "prod:/Service:demo/web",
		"service.beta.kubernetes.io/aws-load-balancer-type": "nlb", "external-dns.alpha.kubernetes.io/hostname": "shop.example.com",
	}
	return s
}

// TestFaultB16Twin: whatever finds the team's Service finds the twin, too, and no other tool takes the twin for its own.
func TestFaultB16Twin(t *testing.T) {
	objects := team(canary(25, 50))
	objects[2] = dressed()
	c := newCluster(t, objects...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	labels := map[string]string{"app": shop, "app.kubernetes.io/instance": "prod", v1alpha1.LabelRollout: shop, v1alpha1.LabelRelease: "shop-1"}
	annotations := map[string]string{"prometheus.io/scrape": "true", "konghq.com/plugins": "limit"}
	want := func(when string) {
		t.Helper()
		twin := c.service("web-canary")
		if diff := cmp.Diff([]map[string]string{labels, annotations}, []map[string]string{twin.Labels, twin.Annotations}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	want("made")

	// The twin follows, and what others have added to it stays and is no reason to write.
	edit(&corev1.Service{}, "web-canary", func(s *corev1.Service) { s.Annotations["policy.example.com/seen"] = "yes" })(c)
	annotations["policy.example.com/seen"] = "yes"
	c.writes = nil
	c.settle()
	if len(c.writes) > 0 {
		t.Errorf("written: %v", c.writes)
	}
	edit(&corev1.Service{}, "web", func(s *corev1.Service) {
		s.Labels["monitored"], s.Annotations["prometheus.io/port"] = "yes", "8080"
	})(c)
	labels["monitored"], annotations["prometheus.io/port"] = "yes", "8080"
	c.settle()
	want("the team has changed its Service")
	edit(&corev1.Service{}, "web-canary", func(s *corev1.Service) { delete(s.Labels, "app"); s.Labels[v1alpha1.LabelRelease] = "forged" })(c)
	c.settle()
	want("somebody has changed the twin")

	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.expectEnd("dressed", v1alpha1.ReleaseSucceeded)
	if diff := cmp.Diff(dressed().Annotations["prometheus.io/scrape"], c.service("web").Annotations["prometheus.io/scrape"]); diff != "" {
		t.Errorf("the team's own: %s", diff)
	}
}

// TestFaultB16LabelsAreNoIdentity: a Service that bears all of the twin's labels, and its name's ending, is the team's all
// the same, and is narrowed.
func TestFaultB16LabelsAreNoIdentity(t *testing.T) {
	c := newCluster(t, team(canary(25, 50))...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	second := metricsService()
	second.Labels = c.service("web-canary").Labels
	c.add(second)
	c.settle()
	if got := c.service("metrics").Spec.Selector[v1alpha1.LabelPodTemplateHash]; got != c.release("shop-1").Spec.From.PodTemplateHash {
		t.Errorf("it is not narrowed: %v", c.service("metrics").Spec.Selector)
	}
}

// TestFaultB16Left: a Service that is left as it is is never written to and has no twin and no Hold; without a word it is
// held to the stable pods.
func TestFaultB16Left(t *testing.T) {
	for verb, ended := range ends {
		c := newCluster(t, team(leaving(canary(25, 50), "metrics", "made-later"), metricsService())...)
		c.settle()
		before := c.service("metrics")
		c.setImage("shop:v2")
		c.settle()
		if got := len(c.pods(c.service("metrics").Spec.Selector)); got != 6 {
			t.Errorf("it leads to %d pods, want all 6 of both revisions", got)
		}
		if rules := c.release("shop-1").Spec.Plan.Services; len(rules) != 2 {
			t.Errorf("the plan has %v", rules)
		}

		// An edit of the Rollout in mid-release does not reach the release, and one that is made meanwhile is left as well.
		ro := leaving(c.rollout())
		ro.Generation++
		c.update(ro)
		later := metricsService()
		later.Name, later.UID = "made-later", "service-later"
		c.add(later)
		c.decide(verb, "shop-1")
		c.settle()
		if got := c.release("shop-1").Status.Phase; got != ended {
			t.Errorf("the release is %s: %s", got, c.tells())
		}
		for _, w := range c.writes {
			if strings.Contains(w, "Service metrics") || strings.Contains(w, "Service made-later") || strings.Contains(w, "service-metrics") {
				t.Errorf("written: %s", w)
			}
		}
		if diff := cmp.Diff(before.Spec, c.service("metrics").Spec); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	}
}

// TestFaultB16NotListed: a Service that is not listed and to which no layer leads is held to the stable pods.
func TestFaultB16NotListed(t *testing.T) {
	c := newCluster(t, team(canary(25, 50), metricsService())...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	if got := len(c.pods(c.service("metrics").Spec.Selector)); got != 4 || c.service("metrics-canary") != nil {
		t.Errorf("it leads to %d pods, want the 4 stable ones and no twin", got)
	}
}

// TestFaultB16Refused: a Service that a layer leads to cannot be left.
func TestFaultB16Refused(t *testing.T) {
	routed := `spec.services[0]: the Service "web" cannot be left as it is: ingress/web in spec.traffic leads to it`
	for name, tt := range map[string]struct {
		services []string
		says     string
	}{
		"routed":         {[]string{"web"}, routed},
		"with another":   {[]string{"web", "metrics"}, routed},
		"none to divide": {[]string{"metrics"}, "spec.services leaves every Service of Deployment"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(leaving(canary(50), tt.services...), metricsService())...)
			if name == "none to divide" {
				c.delete(c.service("web"))
				edit(&networkingv1.Ingress{}, "web", func(i *networkingv1.Ingress) {
					i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "assets"
				})(c)
			}
			c.settle()
			c.setImage("shop:v2")
			c.settle()
			if ro := c.rollout(); ro.Status.Phase != v1alpha1.RolloutStalled || !strings.Contains(c.tells(), tt.says) {
				t.Errorf("want it refused with %q, is: %s", tt.says, c.tells())
			}
			if c.release("shop-1") != nil {
				t.Error("a release began")
			}
			for _, w := range c.writes {
				if strings.Contains(w, " Service ") || strings.Contains(w, "ReplicaSet "+newSet) {
					t.Errorf("written: %s", w)
				}
			}
		})
	}
}

// TestFaultB16RoutedInMidRelease: a layer that is turned to a Service which is left stops the release, with the name.
func TestFaultB16RoutedInMidRelease(t *testing.T) {
	c := newCluster(t, team(leaving(canary(25, 50), "metrics"), metricsService())...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	edit(&networkingv1.Ingress{}, "web", func(i *networkingv1.Ingress) {
		path := i.Spec.Rules[0].HTTP.Paths[0].DeepCopy()
		path.Path, path.Backend.Service.Name = "/metrics", "metrics"
		i.Spec.Rules[0].HTTP.Paths = append(i.Spec.Rules[0].HTTP.Paths, *path)
	})(c)
	c.settle()
	if !strings.Contains(c.tells(), `the Service "metrics" cannot be left as it is`) {
		t.Error(c.tells())
	}
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	if got := c.release("shop-1").Status.Phase; got != v1alpha1.ReleaseAborted {
		t.Errorf("the release is %s", got)
	}
}

// TestFaultB16GivenBackFirst: a Service that a release has narrowed is given back also when the Rollout leaves it as it is
// from now on.
func TestFaultB16GivenBackFirst(t *testing.T) {
	for name, end := range map[string]func(*cluster){
		"the release is taken back": func(c *cluster) { c.decide(v1alpha1.VerbAbort, "shop-1") },
		"its record is removed":     func(c *cluster) { c.delete(c.release("shop-1")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(canary(25, 50), metricsService())...)
			c.settle()
			c.setImage("shop:v2")
			c.settle()
			c.update(leaving(c.rollout(), "metrics"))
			end(c)
			c.settle()
			if diff := cmp.Diff(metricsService().Spec.Selector, c.service("metrics").Spec.Selector); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			c.setImage("shop:v3")
			c.settle()
			if got := c.service("metrics").Spec.Selector; got[v1alpha1.LabelPodTemplateHash] != "" || c.release("shop-2") == nil {
				t.Errorf("in the next release it is narrowed: %v", got)
			}
		})
	}
}

// TestFaultB16Pods: without layers nothing changes: the Services are not touched in any case.
func TestFaultB16Pods(t *testing.T) {
	ro := leaving(canary(25, 50), "metrics")
	ro.Spec.Traffic = nil
	c := newCluster(t, team(ro, metricsService())...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	if got := c.release("shop-1").Status.Phase; got != v1alpha1.ReleaseSucceeded {
		t.Errorf("the release is %s", got)
	}
	for _, w := range c.writes {
		if strings.Contains(w, " Service ") {
			t.Errorf("written: %s", w)
		}
	}
}

// TestFaultB15Uninstalled takes the team's objects away in the middle of a release, as helm uninstall does, with the Rollout
// and without it: nothing of the release stays behind but its record.
func TestFaultB15Uninstalled(t *testing.T) {
	for name, more := range map[string][]client.Object{
		"the Rollout stays": nil, "the Rollout goes as well": {canary(25, 50)}, "sticky": {canary(25, 50)},
	} {
		objects := team(canary(25, 50))
		if name == "sticky" {
			objects[2].SetAnnotations(map[string]string{"traefik.ingress.kubernetes.io/service.sticky.cookie": "true"})
		}
		c := newCluster(t, objects...)
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		if n := len(servicesOf(c)); n != 2 {
			t.Fatalf("%s: %d Services in mid-release, want the team's and its twin", name, n)
		}
		for _, o := range append([]client.Object{webIngress(), webService(), shopDeployment("shop:v1")}, more...) {
			c.delete(o)
		}
		c.settle()
		c.now = c.now.Add(goneFor)
		c.settle()
		var left []string
		for _, o := range c.all() {
			switch o.(type) {
			case *v1alpha1.Release, *v1alpha1.Rollout, *v1alpha1.Decision:
			default:
				left = append(left, short(o))
			}
		}
		if len(left) > 0 {
			t.Errorf("%s: left are %v", name, left)
		}
		if got := c.release("shop-1").Status.Phase; got != v1alpha1.ReleaseAborted {
			t.Errorf("%s: the release is %s", name, got)
		}
		if left := c.rollout(); (left == nil) != (len(more) > 0) {
			t.Errorf("%s: the Rollout is %v", name, left)
		}
	}
}

// TestFaultB15ServiceMadeAnew takes the team's Service away in the middle of a release and brings it back: its twin is
// never taken for a Service of the team's, and serves on.
func TestFaultB15ServiceMadeAnew(t *testing.T) {
	c := newCluster(t, team(canary(25, 50))...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	twin := c.service("web-canary")
	c.delete(webService())
	c.settle()
	if diff := cmp.Diff(twin.Spec.Selector, c.service("web-canary").Spec.Selector); diff != "" {
		t.Errorf("the twin while the Service is gone (-before +now):\n%s", diff)
	}
	again := webService()
	again.UID = "service-web-again"
	c.add(again)
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.expectEnd("made anew", v1alpha1.ReleaseSucceeded)
}

func servicesOf(c *cluster) []client.Object {
	c.t.Helper()
	return objectsOf(c.t, listed(c, &corev1.ServiceList{}))
}

func listed(c *cluster, l client.ObjectList) client.ObjectList {
	c.t.Helper()
	if err := c.store.List(c.t.Context(), l); err != nil {
		c.t.Fatal(err)
	}
	return l
}
