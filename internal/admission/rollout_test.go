package admission_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

// rollout is a Rollout of Deployment shop with these traffic layers.
func rollout(t *testing.T, traffic string) *unstructured.Unstructured {
	t.Helper()
	strategy := "canary: {steps: [{weight: 50, pause: {}}]}"
	if traffic == blueGreen {
		traffic, strategy = "", "blueGreen: {}"
	}
	return parse(t, fmt.Sprintf(`{apiVersion: sluice.dev/v1alpha1, kind: Rollout, metadata: {name: shop}, spec: {workload: {kind: Deployment, name: shop},
		traffic: [%s], %s}}`, traffic, strategy))
}

// blueGreen stands for no traffic layer and spec.blueGreen, which changes the Services over.
const blueGreen = "blueGreen"

// over is a client for a kind in the world's namespace by somebody's own connection.
func (w *world) over(cfg *rest.Config, resource schema.GroupVersionResource) dynamic.ResourceInterface {
	w.t.Helper()
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return client.Resource(resource).Namespace(w.namespace)
}

// rights as rules of a Role.
const (
	writesRollouts   = "{apiGroups: [sluice.dev], resources: [rollouts], verbs: [create, update, patch]}"
	updatesShop      = "{apiGroups: [apps], resources: [deployments], resourceNames: [shop], verbs: [update]}"
	updatesServices  = "{apiGroups: [''], resources: [services], verbs: [update]}"
	createsServices  = "{apiGroups: [''], resources: [services], verbs: [create]}"
	updatesIngress   = "{apiGroups: [networking.k8s.io], resources: [ingresses], resourceNames: [shop], verbs: [update]}"
	createsIngresses = "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [create]}"
	updatesRoute     = "{apiGroups: [gateway.networking.k8s.io], resources: [httproutes], resourceNames: [shop], verbs: [update]}"
	updatesRPCRoute  = "{apiGroups: [gateway.networking.k8s.io], resources: [grpcroutes], resourceNames: [shop], verbs: [update]}"
)

// TestFaultA10RolloutAuthor proves that nobody has Sluice change for him what he may not change himself: the API server
// refuses a Rollout whose author lacks a right on an object that it names, by the right, the object and the field. The
// authors sign in by client certificates and by a token.
func TestFaultA10RolloutAuthor(t *testing.T) {
	w := newWorld(t)
	const ingress, route = "{ingress: {name: shop}}", "{httpRoute: {name: shop}}"
	eight := strings.TrimSuffix(strings.Repeat(route+", ", 7), ", ") + ", {httpRoute: {name: theirs}}"
	for name, test := range map[string]struct {
		rules   []string
		traffic string
		refuse  string
	}{
		"blue-green":  {[]string{updatesShop, updatesServices, createsServices}, blueGreen, ""},
		"no-switch":   {[]string{updatesShop, createsServices}, blueGreen, `spec.blueGreen: "USER" may not update services in namespace NS`},
		"no-preview":  {[]string{updatesShop, updatesServices}, blueGreen, `spec.blueGreen: "USER" may not create services in namespace NS`},
		"no-right":    {nil, "", `spec.workload.name: "USER" may not update deployments.apps "shop" in namespace NS, and so may not have Sluice do it; ask for the RBAC verb "update" on it, or name one that you may update`},
		"no-layers":   {[]string{updatesShop}, "", ""},
		"no-services": {[]string{updatesShop, updatesRoute}, route, `spec.traffic: "USER" may not update services in namespace NS`},
		"no-twin":     {[]string{updatesShop, updatesRoute, updatesServices}, route, `spec.traffic: "USER" may not create services in namespace NS`},
		"no-route":    {[]string{updatesShop, updatesServices, createsServices}, route, `spec.traffic[0].httpRoute.name: "USER" may not update httproutes.gateway.networking.k8s.io "shop" in namespace NS`},
		"route":       {[]string{updatesShop, updatesServices, createsServices, updatesRoute}, route, ""},
		"no-rpc":      {[]string{updatesShop, updatesServices, createsServices, updatesRoute}, "{grpcRoute: {name: shop}}", `spec.traffic[0].grpcRoute.name: "USER" may not update grpcroutes.gateway.networking.k8s.io "shop" in namespace NS`},
		"rpc":         {[]string{updatesShop, updatesServices, createsServices, updatesRPCRoute}, "{grpcRoute: {name: shop}}", ""},
		"no-canary":   {[]string{updatesShop, updatesServices, createsServices, updatesIngress}, ingress, `spec.traffic: "USER" may not create ingresses.networking.k8s.io in namespace NS`},
		"no-ingress":  {[]string{updatesShop, updatesServices, createsServices, createsIngresses}, ingress, `spec.traffic[0].ingress.name: "USER" may not update ingresses.networking.k8s.io "shop" in namespace NS`},
		"ingress":     {[]string{updatesShop, updatesServices, createsServices, createsIngresses, updatesIngress}, ingress, ""},
		"second":      {[]string{updatesShop, updatesServices, createsServices, createsIngresses, updatesIngress}, ingress + ", " + route, `spec.traffic[1].httpRoute.name: "USER" may not update`},
		"eighth":      {[]string{updatesShop, updatesServices, createsServices, updatesRoute}, eight, `spec.traffic[7].httpRoute.name: "USER" may not update httproutes.gateway.networking.k8s.io "theirs"`},
	} {
		t.Run(name, func(t *testing.T) {
			user := name + "-" + w.namespace
			w.role(user, strings.Join(append(test.rules, writesRollouts), ", "))
			w.bind(user, "Role", user)
			options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
			_, err := w.over(w.certificate(user), rollouts).Create(t.Context(), rollout(t, test.traffic), options)
			w.wantAnswer(t, err, strings.ReplaceAll(test.refuse, "USER", user))
		})
	}
	t.Run("token", func(t *testing.T) {
		robot, token := w.serviceAccount("rita")
		w.bind(robot, "ClusterRole", "sluice-admin")
		_, err := w.over(token, rollouts).Create(t.Context(), rollout(t, ingress), metav1.CreateOptions{})
		wantForbidden(t, err, `spec.workload.name: "`+robot+`" may not update deployments.apps "shop"`)
	})
	t.Run("edit", func(t *testing.T) {
		w.bind("ed", "ClusterRole", "edit")
		w.role("rollouts", writesRollouts)
		w.bind("ed", "Role", "rollouts")
		w.wantAnswer(t, w.try("ed", rollouts, rollout(t, ingress)), "")
	})
}

// TestFaultA10Change proves that whoever changes a Rollout answers for all of it, that labels are free, and that Sluice
// itself is not asked.
func TestFaultA10Change(t *testing.T) {
	w := newWorld(t)
	w.role("rita", writesRollouts)
	w.bind("rita", "Role", "rita")
	rita := w.certificate("rita")
	if _, err := w.as("", rollouts).Create(t.Context(), rollout(t, "{ingress: {name: shop}}"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	const lacks = `spec.workload.name: "rita" may not update deployments.apps "shop"`
	for _, test := range []struct{ patch, refuse string }{
		{`{metadata: {labels: {team: web}, annotations: {a: b}}}`, ""},
		{`{spec: {drainDelay: 7s}}`, lacks},
		{`{spec: {traffic: null}}`, lacks},
		{`{spec: {canary: {steps: [{weight: 100}]}}}`, lacks},
	} {
		_, err := w.over(rita, rollouts).Patch(t.Context(), "shop", types.MergePatchType, asJSON(t, test.patch), metav1.PatchOptions{})
		w.wantAnswer(t, err, test.refuse)
	}
	applied := `{apiVersion: sluice.dev/v1alpha1, kind: Rollout, metadata: {name: shop}, spec: {historyLimit: 3}}`
	_, err := w.over(rita, rollouts).Patch(t.Context(), "shop", types.ApplyPatchType, asJSON(t, applied), metav1.PatchOptions{FieldManager: "rita"})
	w.wantAnswer(t, err, lacks)
	w.patch(sluice, rollouts, "shop", `{"metadata":{"finalizers":["sluice.dev/rollout"]}}`)
	w.patch(sluice, rollouts, "shop", `{"metadata":{"finalizers":null}}`)
}

// TestFaultA10Layers proves that a new kind of traffic layer cannot be forgotten: the policy speaks of each field that
// names one.
func TestFaultA10Layers(t *testing.T) {
	objects, err := deploy.Policies(deploy.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, object := range objects {
		if object.GetName() == "sluice-rollout-author" {
			text += fmt.Sprint(object.Object)
		}
	}
	layer := reflect.TypeFor[v1alpha1.TrafficLayer]()
	for i := range layer.NumField() {
		if name := jsonName(layer.Field(i)); !strings.Contains(text, "'"+name+"' in l") {
			t.Errorf("sluice-rollout-author asks for no right on what spec.traffic[].%s names", name)
		}
	}
}

// TestFaultA10Records proves that what Sluice notes down and acts on is written by Sluice alone, whatever role somebody
// has been given in his namespace: a Hold says what a Service is put back to, a status what a release has come to.
func TestFaultA10Records(t *testing.T) {
	w := newWorld(t)
	w.bind("ada", "ClusterRole", "cluster-admin") // in this namespace
	ada := w.certificate("ada")
	w.release("shop-1", "", nil)
	w.create("", holds, fmt.Sprintf(hold, "shop-1"))
	if _, err := w.as("", rollouts).Create(t.Context(), rollout(t, ""), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	refuse := func(t *testing.T, err error, what string) {
		t.Helper()
		wantForbidden(t, err, `"ada" may not write `+what+`: Sluice notes down there what it has done, and acts on it; leave it to Sluice. `+
			`To restore a backup it takes the RBAC verb "impersonate" on serviceaccounts "sluice" in namespace sluice-system`)
	}
	for what, object := range map[string]*unstructured.Unstructured{
		"releases": parse(t, fmt.Sprintf(release, "shop-2")), "holds": parse(t, strings.ReplaceAll(fmt.Sprintf(hold, "shop-1"), "service-shop", "service-other")),
		"analysisruns": asKind("AnalysisRun", template(t, `{name: free, provider: {prometheus: {query: up}}}`)),
	} {
		t.Run("create "+what, func(t *testing.T) {
			_, err := w.over(ada, v1alpha1.GroupVersion.WithResource(what)).Create(t.Context(), object, metav1.CreateOptions{})
			refuse(t, err, what)
			w.wantAnswer(t, w.try("", v1alpha1.GroupVersion.WithResource(what), object), "") // Whoever may act as Sluice.
		})
	}
	for name, test := range map[string]struct {
		resource, object, patch, sub, what string
	}{
		"hold":           {"holds", "service-shop", `{"spec":{"original":{"selector":{"app":"evil"}}}}`, "", "holds"},
		"hold's label":   {"holds", "service-shop", `{"metadata":{"labels":{"sluice.dev/rollout":"other"}}}`, "", "holds"},
		"release":        {"releases", "shop-1", `{"metadata":{"labels":{"sluice.dev/rollout":"other"}}}`, "", "releases"},
		"release status": {"releases", "shop-1", `{"status":{"phase":"Succeeded"}}`, "status", "releases/status"},
		"rollout status": {"rollouts", "shop", `{"status":{"phase":"Healthy"}}`, "status", "rollouts/status"},
	} {
		t.Run("change "+name, func(t *testing.T) {
			var subresources []string
			if test.sub != "" {
				subresources = append(subresources, test.sub)
			}
			_, err := w.over(ada, v1alpha1.GroupVersion.WithResource(test.resource)).
				Patch(t.Context(), test.object, types.MergePatchType, []byte(test.patch), metav1.PatchOptions{}, subresources...)
			refuse(t, err, test.what)
		})
	}
	if _, err := w.over(ada, releases).Patch(t.Context(), "shop-1", types.MergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("annotations are not free: %v", err)
	}
}

// hold is a Hold of Service shop for a release.
const hold = `
apiVersion: sluice.dev/v1alpha1
kind: Hold
metadata: {name: service-shop}
spec:
  release: %s
  target: {apiVersion: v1, kind: Service, name: shop}
  original: {selector: {app: shop}}
`

// TestFaultA14ControllerBound proves what the controller's own token cannot be used for, though RBAC alone would let it:
// anything in the namespaces of the cluster itself and in those that are labelled so, and what Sluice never does in the
// others. The token is a real one of its ServiceAccount.
func TestFaultA14ControllerBound(t *testing.T) {
	w := newWorld(t)
	shut := &world{Cluster: w.Cluster, t: t, namespace: w.Namespace(t)}
	w.MustKubectl(t, "", "label", "namespace", shut.namespace, "sluice.dev/keep-out=true")
	token := controllerToken(t, w)
	for _, in := range []*world{w, shut} {
		in.create("", deployments, shop("blue"))
		in.create("", services, service)
		in.create("", ingresses, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop}, spec: {defaultBackend: {service: {name: shop, port: {number: 80}}}}}`)
		in.MustKubectl(t, "", "-n", in.namespace, "create", "rolebinding", "jobs", "--clusterrole", "sluice-job-runner", "--serviceaccount", "sluice-system:sluice")
	}
	w.create("", rollouts, `{apiVersion: sluice.dev/v1alpha1, kind: Rollout, metadata: {name: shop}, spec: {workload: {kind: Deployment, name: shop}, canary: {steps: [{weight: 50}]}}}`)
	system := &world{Cluster: w.Cluster, t: t, namespace: "kube-system"}
	owner := ", ownerReferences: [{apiVersion: sluice.dev/v1alpha1, kind: Release, name: shop-1, uid: x, controller: true}]"
	pods := "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}"
	job := "template: {spec: {restartPolicy: Never, containers: [{name: c, image: i%s}]%s}}"
	const out = "the controller changes nothing in namespace "
	for name, test := range map[string]struct {
		resource schema.GroupVersionResource
		object   string
		refuse   string
	}{
		"replicaset":           {replicaSets, "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x" + owner + "}, spec: {" + pods + "}}", ""},
		"replicaset of nobody": {replicaSets, "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x}, spec: {" + pods + "}}", "only for a Release or an AnalysisRun"},
		"replicaset again":     {replicaSets, "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x, ownerReferences: [{apiVersion: sluice.dev/v1alpha1, kind: Rollout, name: shop, uid: x}]}, spec: {" + pods + "}}", ""},
		"service":              {services, "{apiVersion: v1, kind: Service, metadata: {name: x" + owner + "}, spec: {selector: {a: b, pod-template-hash: c}, ports: [{port: 80}]}}", ""},
		"service of many pods": {services, "{apiVersion: v1, kind: Service, metadata: {name: x" + owner + "}, spec: {selector: {a: b}, ports: [{port: 80}]}}", "canary Services only"},
		"ingress":              {ingresses, "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/canary: 'true'}" + owner + "}, spec: {defaultBackend: {service: {name: x, port: {number: 80}}}}}", ""},
		"ingress of its own":   {ingresses, "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x" + owner + "}, spec: {defaultBackend: {service: {name: x, port: {number: 80}}}}}", "canary Ingresses only"},
		"hold":                 {holds, "{apiVersion: sluice.dev/v1alpha1, kind: Hold, metadata: {name: x" + owner + "}, spec: {target: {apiVersion: v1, kind: Service, name: shop}, release: shop-1, original: {selector: {a: b}}}}", ""},
		"load balancer":        {services, "{apiVersion: v1, kind: Service, metadata: {name: x" + owner + "}, spec: {type: LoadBalancer, selector: {a: b, pod-template-hash: c}, ports: [{port: 80}]}}", "may not open a Service"},
		"external IP":          {services, "{apiVersion: v1, kind: Service, metadata: {name: x" + owner + "}, spec: {externalIPs: [10.1.2.3], selector: {a: b, pod-template-hash: c}, ports: [{port: 80}]}}", "may not open a Service"},
		"external name":        {services, "{apiVersion: v1, kind: Service, metadata: {name: x" + owner + "}, spec: {type: ExternalName, externalName: evil.example}}", "canary Services only"},
		"job":                  {jobs, "{apiVersion: batch/v1, kind: Job, metadata: {name: x" + owner + "}, spec: {" + fmt.Sprintf(job, "", "") + "}}", ""},
		"job of the node's disk": {
			jobs, "{apiVersion: batch/v1, kind: Job, metadata: {name: x" + owner + "}, spec: {" + fmt.Sprintf(job, "", ", volumes: [{name: v, hostPath: {path: /}}]") + "}}", "Jobs of plain containers only",
		},
		"privileged job": {
			jobs, "{apiVersion: batch/v1, kind: Job, metadata: {name: x" + owner + "}, spec: {" + fmt.Sprintf(job, ", securityContext: {privileged: true}", "") + "}}", "Jobs of plain containers only",
		},
	} {
		t.Run("make "+name, func(t *testing.T) {
			options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
			for in, refuse := range map[*world]string{w: test.refuse, shut: out + shut.namespace, system: out + "kube-system"} {
				if in == system && test.resource == jobs {
					refuse = "cannot create resource"
				}
				w.eventually("the answer is as it should be in "+in.namespace, func(ctx context.Context) error {
					_, err := in.over(token, test.resource).Create(ctx, parse(t, test.object), options)
					return answers(err, refuse)
				})
			}
		})
	}
	for name, test := range map[string]struct {
		resource schema.GroupVersionResource
		patch    string
		refuse   string
	}{
		"take over":        {deployments, `{"metadata":{"labels":{"sluice.dev/rollout":"shop"}}}`, ""},
		"another's pods":   {deployments, `{"spec":{"template":{"spec":{"serviceAccountName":"admin"}}}}`, "that it has taken over"},
		"its size":         {deployments, `{"spec":{"replicas":0}}`, "that it has taken over"},
		"narrow":           {services, `{"spec":{"selector":{"pod-template-hash":"abc"}}}`, ""},
		"open to outside":  {services, `{"spec":{"type":"NodePort"}}`, "may not open a Service"},
		"external address": {services, `{"spec":{"externalIPs":["10.1.2.3"]}}`, "may not open a Service"},
		"who may reach it": {services, `{"spec":{"externalTrafficPolicy":"Local","type":"LoadBalancer","loadBalancerSourceRanges":["0.0.0.0/0"]}}`, "may not open a Service"},
		"a port":           {services, `{"spec":{"ports":[{"name":"admin","port":9999,"protocol":"TCP"}]}}`, "only which pods a team's Service selects"},
		"its own":          {services, `{"metadata":{"labels":{"sluice.dev/release":"shop-1"}}}`, "may not make a Service of others its own"},
		"its owner":        {services, `{"metadata":{"ownerReferences":[{"apiVersion":"sluice.dev/v1alpha1","kind":"Release","name":"x","uid":"x"}]}}`, "may not make a Service of others its own"},
		"never to go":      {services, `{"metadata":{"finalizers":["a/b"]}}`, "finalizers on Rollouts only"},
		"a note":           {deployments, `{"metadata":{"annotations":{"a":"b"}}}`, "that it has taken over"},
		"a team's Ingress": {ingresses, `{"metadata":{"annotations":{"a":"b"}}}`, "only Ingresses that it has made"},
		"what is released": {rollouts, `{"spec":{"historyLimit":1}}`, "may not change the spec of a Rollout"},
	} {
		t.Run("change "+name, func(t *testing.T) {
			for in, refuse := range map[*world]string{w: test.refuse, shut: out + shut.namespace} {
				if in == shut && test.resource == rollouts {
					continue
				}
				_, err := in.over(token, test.resource).Patch(t.Context(), "shop", types.MergePatchType, []byte(test.patch), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
				if e := answers(err, refuse); e != nil {
					t.Errorf("in %s: %v", in.namespace, e)
				}
			}
		})
	}
	for resource, name := range map[schema.GroupVersionResource]string{services: "shop", deployments: "shop", rollouts: "shop"} {
		err := shut.over(token, resource).Delete(t.Context(), name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		want := out + shut.namespace
		if resource != services {
			want = "cannot delete resource"
		}
		if e := answers(err, want); e != nil {
			t.Errorf("delete %s: %v", resource.Resource, e)
		}
	}
	for _, resource := range []schema.GroupVersionResource{services, ingresses} {
		err := w.over(token, resource).Delete(t.Context(), "shop", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		if e := answers(err, "may remove only "+resource.Resource+" that it has made"); e != nil {
			t.Error(e)
		}
	}
	_, err := w.over(token, rollouts).Create(t.Context(), rollout(t, ""), metav1.CreateOptions{})
	if e := answers(err, "cannot create resource"); e != nil {
		t.Error(e)
	}
}

// answers compares an answer with the refusal that is wanted; empty for none.
func answers(err error, refuse string) error {
	switch {
	case refuse == "" && err != nil:
		return err
	case refuse != "" && (err == nil || !strings.Contains(err.Error(), refuse)):
		return fmt.Errorf("answered %w, want a refusal with %q", err, refuse)
	}
	return nil
}

// controllerToken is a connection with a token of the controller's ServiceAccount, as one who has stolen it has.
func controllerToken(t *testing.T, w *world) *rest.Config {
	t.Helper()
	cfg := rest.AnonymousClientConfig(w.Config)
	cfg.BearerToken = strings.TrimSpace(w.MustKubectl(t, "", "-n", deploy.Namespace, "create", "token", deploy.ServiceAccount))
	return cfg
}
