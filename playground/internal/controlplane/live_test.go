package controlplane

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

const eventually = 30 * time.Second

func TestServerIsTheReleaseItSays(t *testing.T) {
	client := newClient(t, shared.get(t).Config())
	info, err := client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if info.GitVersion != component.Version() || !strings.HasPrefix(info.GitVersion, "v1.") {
		t.Errorf("server says %q, the module is %q", info.GitVersion, component.Version())
	}
}

func TestEveryPlaygroundHasItsClassesAndGateway(t *testing.T) {
	client := newClient(t, shared.get(t).Config())
	ctx := t.Context()
	for _, path := range []string{
		"/apis/networking.k8s.io/v1/ingressclasses/nginx",
		"/apis/gateway.networking.k8s.io/v1/gatewayclasses/sluice-playground",
		"/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/playground",
		"/apis/gateway.networking.k8s.io/v1/httproutes",
		"/apis/gateway.networking.k8s.io/v1/grpcroutes",
		"/apis/gateway.networking.k8s.io/v1beta1/referencegrants",
	} {
		if err := client.Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Error(); err != nil {
			t.Errorf("get %s: %v", path, err)
		}
	}
}

// A mutating policy of version v1 acts on a write.
func TestMutatingAdmissionPolicyActs(t *testing.T) {
	client := newClient(t, shared.get(t).Config())
	makeMarkingPolicy(t, client)
	await(t, "the policy to mark a ConfigMap", func(ctx context.Context) (bool, error) {
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "marked-"}}
		got, err := client.CoreV1().ConfigMaps("default").Create(ctx, o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && got.Annotations["marked"] == "yes", err
	})
}

func makeMarkingPolicy(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	ctx := t.Context()
	policies := client.AdmissionregistrationV1()
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mark"},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
				},
			}}},
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{
				PatchType:          admissionv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: `Object{metadata: Object.metadata{annotations: {"marked": "yes"}}}`},
			}},
		},
	}
	if _, err := policies.MutatingAdmissionPolicies().Create(ctx, policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create policy: %v", err)
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "mark"},
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "mark"},
	}
	if _, err := policies.MutatingAdmissionPolicyBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create binding: %v", err)
	}
}

// A Deployment's pods are made, bound to a node and, with the Deployment gone, collected: the
// controllers, the scheduler and the garbage collector all work.
func TestControllersAndSchedulerWork(t *testing.T) {
	client := newClient(t, shared.get(t).Config())
	ctx := t.Context()
	makeNode(t, client)
	labels := map[string]string{"app": "shop"}
	replicas := int32(3)
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:  []corev1.Container{{Name: "shop", Image: "shop"}},
				},
			},
		},
	}
	if _, err := client.AppsV1().Deployments("default").Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "three pods bound to the node", func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=shop"})
		bound := 0
		for _, p := range pods.Items {
			if p.Spec.NodeName == "paper" {
				bound++
			}
		}
		return bound == 3, err
	})
	if err := client.AppsV1().Deployments("default").Delete(ctx, "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the ReplicaSet to be collected", func(ctx context.Context) (bool, error) {
		sets, err := client.AppsV1().ReplicaSets("default").List(ctx, metav1.ListOptions{LabelSelector: "app=shop"})
		return err == nil && len(sets.Items) == 0, err
	})
}

// makeNode makes one without a kubelet behind it.
func makeNode(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	node, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "paper"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")}
	node.Status.Capacity = node.Status.Allocatable
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestUsersHaveNoRightsOfTheirOwn(t *testing.T) {
	cp := shared.get(t)
	config, err := cp.ConfigFor("alice", "sre")
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, config)
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	who := review.Status.UserInfo
	if who.Username != "alice" || !slices.Contains(who.Groups, "sre") {
		t.Errorf("the API server sees %s of %v", who.Username, who.Groups)
	}
	if _, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list pods: got error %v, want forbidden", err)
	}
}

func TestAuditLogTellsWhoDidWhat(t *testing.T) {
	cp := shared.get(t)
	config, err := cp.ConfigFor("auditor", adminGroup)
	if err != nil {
		t.Fatal(err)
	}
	config.UserAgent = "audit-test"
	client := newClient(t, config)
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "audited"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "audited", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"create", "get"}
	await(t, "both requests in the audit log", func(context.Context) (bool, error) {
		return slices.Equal(audited(t, shared.audit, "auditor", "audit-test"), want), nil
	})
}

// audited returns the verbs of a user's requests, in order.
func audited(t *testing.T, path, user, agent string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var verbs []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb, UserAgent string
			User            struct{ Username string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // a line that is still being written
		}
		if event.User.Username == user && event.UserAgent == agent {
			verbs = append(verbs, event.Verb)
		}
	}
	return verbs
}

func TestSecondStartOnARunningDirectoryIsRefused(t *testing.T) {
	cp := shared.get(t)
	_, err := Start(t.Context(), Options{Dir: cp.Dir(), Ephemeral: true})
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("got error %v, want %v", err, ErrInUse)
	}
	if _, err := newClient(t, cp.Config()).Discovery().ServerVersion(); err != nil {
		t.Errorf("the first one was harmed: %v", err)
	}
}

// One directory, three lives: the second finds what the first wrote, at the same address and with the
// same kubeconfig; then a component is killed.
func TestSecondStartContinuesAndADeadComponentIsNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane twice: not with -short")
	}
	dir := filepath.Join(t.TempDir(), "dir")
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	firstLife(t, dir, kubeconfig)

	cp, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatalf("start again: %v", err)
	}
	t.Cleanup(func() { _ = cp.Stop() })
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, config)
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("with the first kubeconfig: %v", err)
	}
	if !servesMutatingPolicies(t, client) {
		t.Error("mutating policies are not served, though nobody switched them off")
	}
	checkDeadComponent(t, cp, schedulerName)
}

func firstLife(t *testing.T, dir, kubeconfig string) {
	t.Helper()
	cp, err := Start(t.Context(), Options{Dir: dir, NoMutatingPolicies: true})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	defer func() {
		if err := cp.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}()
	if err := cp.WriteKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, cp.Config())
	if servesMutatingPolicies(t, client) {
		t.Error("mutating policies are served, though switched off")
	}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func checkDeadComponent(t *testing.T, cp *ControlPlane, name string) {
	t.Helper()
	i := slices.IndexFunc(cp.children, func(c *child) bool { return c.name == name })
	if err := cp.children[i].command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	defer cancel()
	var died *ChildError
	if err := cp.Wait(ctx); !errors.As(err, &died) {
		t.Fatalf("got error %v, want a ChildError", err)
	}
	if died.Name != name || died.State != "signal: killed" || died.Tail == "" {
		t.Errorf("got %+v, want %s, killed, with the end of its log", died, name)
	}
	if err := cp.Stop(); err != nil {
		t.Errorf("stop the rest: %v", err)
	}
	for _, c := range cp.children {
		select {
		case <-c.done:
		default:
			t.Errorf("%s still runs", c.name)
		}
	}
}

func servesMutatingPolicies(t *testing.T, client kubernetes.Interface) bool {
	t.Helper()
	list, err := client.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "mutatingadmissionpolicies" })
}

func newClient(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func await(t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, eventually, true, func(ctx context.Context) (bool, error) {
		ok, err := done(ctx)
		last = err
		return ok, nil
	})
	if err != nil {
		t.Fatalf("wait for %s: %v (last: %v)", what, err, last)
	}
}
