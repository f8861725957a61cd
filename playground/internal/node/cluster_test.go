package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

// cluster is a real control plane with a playground node.
type cluster struct {
	*kubernetes.Clientset
	namespace string
	node      string
	logs      bool
}

// realCluster connects to the control plane that KUBECONFIG names. Where it has no
// playground node, the test runs one of its own.
func realCluster(t *testing.T) *cluster {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Skip("KUBECONFIG is not set: start a playground (sluice-playground up --ephemeral) and name its kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Clientset: client}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{LabelSelector: corev1.LabelInstanceTypeStable + "=sluice-playground"})
	if err != nil {
		t.Fatal(err)
	}
	c.logs = len(nodes.Items) > 0
	if c.logs {
		c.node = nodes.Items[0].Name
	} else {
		c.node = fmt.Sprintf("test-%d", time.Now().UnixNano())
		c.runNode(t, Options{Config: config, Names: []string{c.node}, Network: network.New()})
	}
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "node-test-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.namespace = ns.Name
	t.Cleanup(func() { _ = client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}) })
	c.wait(t, "the default service account", func() (bool, string) {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	return c
}

func (c *cluster) runNode(t *testing.T, o Options) {
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("node ended with %v", err)
		}
		_ = c.CoreV1().Nodes().Delete(context.Background(), c.node, metav1.DeleteOptions{})
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("node ended with %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the node was not ready within 30s")
	}
}

// wait asks until the answer is yes; what it was when the time is over, is told.
func (c *cluster) wait(t *testing.T, what string, ask func() (ok bool, state string)) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		ok, state := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s: %s", what, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *cluster) template(name, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{corev1.LabelHostname: c.node},
			Containers: []corev1.Container{{
				Name: "web", Image: image,
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
					HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http")},
				}},
			}},
		},
	}
}

func (c *cluster) deploy(t *testing.T, name, image string, replicas int32) *appsv1.Deployment {
	t.Helper()
	d, err := c.AppsV1().Deployments(c.namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: c.template(name, image),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (c *cluster) pods(t *testing.T, name string) []corev1.Pod {
	t.Helper()
	list, err := c.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// waitPod waits until the first pod of an app is as wanted.
func (c *cluster) waitPod(t *testing.T, name, what string, want func(*corev1.Pod) bool) (found *corev1.Pod) {
	t.Helper()
	c.wait(t, name+" "+what, func() (bool, string) {
		pods := c.pods(t, name)
		if len(pods) == 0 {
			return false, "no pod"
		}
		found = &pods[0]
		return want(found), fmt.Sprintf("%+v", found.Status)
	})
	return found
}

func (c *cluster) waitAvailable(t *testing.T, name string, replicas int32) {
	t.Helper()
	c.wait(t, fmt.Sprintf("%d available of %s", replicas, name), func() (bool, string) {
		d, err := c.AppsV1().Deployments(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		s := d.Status
		return s.ObservedGeneration == d.Generation && s.AvailableReplicas == replicas && s.UpdatedReplicas == replicas && s.Replicas == replicas,
			fmt.Sprintf("%+v", s)
	})
}

func waitingFor(reason string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == reason
	}
}

func TestOnARealControlPlane(t *testing.T) {
	c := realCluster(t)
	t.Run("deployment", c.testDeployment)
	t.Run("labels and conditions of others stay", c.testForeignFields)
	t.Run("crash", c.testCrash)
	t.Run("unknown image", c.testUnknownImage)
	t.Run("job", c.testJob)
	t.Run("check by name", c.testCheck)
	t.Run("logs", c.testLogs)
	t.Run("deletion", c.testDeletion)
}

func (c *cluster) testDeployment(t *testing.T) {
	begin := time.Now()
	c.deploy(t, "shop", "argoproj/rollouts-demo:blue", 4)
	c.waitAvailable(t, "shop", 4)
	t.Logf("4 pods ready after %v", time.Since(begin).Round(time.Millisecond))

	_, err := c.AppsV1().Deployments(c.namespace).Patch(t.Context(), "shop", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"sluice.dev/demo:green"}]}}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begin = time.Now()
	c.waitAvailable(t, "shop", 4)
	c.wait(t, "the old pods to go", func() (bool, string) {
		pods := c.pods(t, "shop")
		return len(pods) == 4 && !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !strings.HasSuffix(p.Spec.Containers[0].Image, "green") }),
			fmt.Sprint(len(pods), " pods")
	})
	t.Logf("rolling update took %v", time.Since(begin).Round(time.Millisecond))
}

func (c *cluster) testForeignFields(t *testing.T) {
	c.deploy(t, "gated", "sluice.dev/demo:blue", 0)
	template := c.template("gated", "sluice.dev/demo:blue")
	template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "test/gate"}}
	p, err := c.CoreV1().Pods(c.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "gated", Labels: map[string]string{"app": "lone"}}, Spec: template.Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.waitPod(t, "lone", "containers ready", func(p *corev1.Pod) bool {
		ready, all := conditionOf(p.Status.Conditions, corev1.PodReady), conditionOf(p.Status.Conditions, corev1.ContainersReady)
		return all != nil && all.Status == corev1.ConditionTrue && ready.Status == corev1.ConditionFalse && ready.Reason == "ReadinessGatesNotReady"
	})
	patch := func(body, part string) {
		parts := []string{}
		if part != "" {
			parts = append(parts, part)
		}
		if _, err := c.CoreV1().Pods(c.namespace).Patch(t.Context(), p.Name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, parts...); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"metadata":{"labels":{"added":"later"}}}`, "")
	patch(`{"status":{"conditions":[{"type":"test/gate","status":"True"}]}}`, "status")
	got := c.waitPod(t, "lone", "ready", func(p *corev1.Pod) bool {
		return conditionOf(p.Status.Conditions, corev1.PodReady).Status == corev1.ConditionTrue
	})
	if got.Labels["added"] != "later" || conditionOf(got.Status.Conditions, "test/gate") == nil {
		t.Errorf("labels %v, conditions %+v: something of others was lost", got.Labels, got.Status.Conditions)
	}
}

func (c *cluster) testCrash(t *testing.T) {
	c.deploy(t, "crash", "sluice.dev/demo:crash", 1)
	p := c.waitPod(t, "crash", "CrashLoopBackOff", waitingFor("CrashLoopBackOff"))
	s := p.Status.ContainerStatuses[0]
	if s.RestartCount < 1 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 1 {
		t.Errorf("status: %+v", s)
	}
	c.waitPod(t, "crash", "restarted again", func(p *corev1.Pod) bool { return p.Status.ContainerStatuses[0].RestartCount >= 3 })
}

func (c *cluster) testUnknownImage(t *testing.T) {
	c.deploy(t, "nosuch", "registry.example/shop:1", 1)
	c.waitPod(t, "nosuch", "ErrImagePull", waitingFor("ErrImagePull"))
	p := c.waitPod(t, "nosuch", "ImagePullBackOff", waitingFor("ImagePullBackOff"))
	if p.Status.Phase != corev1.PodPending {
		t.Errorf("phase %s", p.Status.Phase)
	}
	c.wait(t, "an event that names the image", func() (bool, string) {
		events, err := c.CoreV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + p.Name})
		if err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.Reason == "Failed" && strings.HasPrefix(e.Message, `Failed to pull image "registry.example/shop:1": `)
		}), fmt.Sprint(len(events.Items), " events")
	})
}

func (c *cluster) job(t *testing.T, name, image string, args []string, env ...corev1.EnvVar) *batchv1.Job {
	t.Helper()
	j, err := c.BatchV1().Jobs(c.namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(0)), Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				NodeSelector:  map[string]string{corev1.LabelHostname: c.node},
				Containers:    []corev1.Container{{Name: "job", Image: image, Args: args, Env: env}},
			},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (c *cluster) waitJob(t *testing.T, name string, want batchv1.JobConditionType) {
	t.Helper()
	c.wait(t, "job "+name+" "+string(want), func() (bool, string) {
		j, err := c.BatchV1().Jobs(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Type == want && c.Status == corev1.ConditionTrue
		}), fmt.Sprintf("%+v", j.Status)
	})
}

func (c *cluster) testJob(t *testing.T) {
	c.job(t, "good", "sluice.dev/demo:crash", nil, corev1.EnvVar{Name: "EXIT_CODE", Value: "0"})
	c.job(t, "bad", "sluice.dev/demo:crash", nil, corev1.EnvVar{Name: "EXIT_CODE", Value: "9"})
	c.waitJob(t, "good", batchv1.JobComplete)
	c.waitJob(t, "bad", batchv1.JobFailed)
	if s := c.pods(t, "bad")[0].Status.ContainerStatuses[0]; s.State.Terminated == nil || s.State.Terminated.ExitCode != 9 {
		t.Errorf("status of the failed job's container: %+v", s)
	}
	background := metav1.DeletePropagationBackground
	if err := c.BatchV1().Jobs(c.namespace).Delete(t.Context(), "good", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	c.wait(t, "the deleted job's pod to go", func() (bool, string) {
		n := len(c.pods(t, "good"))
		return n == 0, fmt.Sprint(n, " pods")
	})
}

func (c *cluster) testCheck(t *testing.T) {
	c.deploy(t, "named", "sluice.dev/demo:purple", 2)
	if _, err := c.CoreV1().Services(c.namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "named"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "named"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitAvailable(t, "named", 2)
	c.wait(t, "endpoints", func() (bool, string) {
		list, err := c.DiscoveryV1().EndpointSlices(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=named"})
		if err != nil || len(list.Items) == 0 {
			return false, fmt.Sprint(err)
		}
		return len(list.Items[0].Endpoints) == 2, fmt.Sprintf("%+v", list.Items[0].Endpoints)
	})
	for i, host := range []string{"named", "named." + c.namespace, "named." + c.namespace + ".svc", "named." + c.namespace + ".svc.cluster.local"} {
		name := fmt.Sprint("check-", i)
		c.job(t, name, "sluice.dev/check", []string{"--url", "http://" + host + "/color", "--expect", "purple", "--count", "5"})
		c.waitJob(t, name, batchv1.JobComplete)
	}
	c.job(t, "check-wrong", "sluice.dev/check:latest", []string{"--url=http://named/color", "--expect=green"})
	c.waitJob(t, "check-wrong", batchv1.JobFailed)
}

func (c *cluster) testLogs(t *testing.T) {
	if !c.logs {
		t.Skip("the control plane has no playground node of its own, so it trusts no kubelet endpoint that this test could open")
	}
	c.job(t, "told", "sluice.dev/check", []string{"--url", "nonsense"})
	c.waitJob(t, "told", batchv1.JobFailed)
	name := c.pods(t, "told")[0].Name
	for _, follow := range []bool{false, true} {
		logs, err := c.CoreV1().Pods(c.namespace).GetLogs(name, &corev1.PodLogOptions{Follow: follow}).Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(logs)
		_ = logs.Close()
		if err != nil || !strings.Contains(string(text), `check: --url "nonsense": want http://HOST/PATH`) {
			t.Errorf("follow %v: %q, %v", follow, text, err)
		}
	}
}

func (c *cluster) testDeletion(t *testing.T) {
	template := c.template("drain", "sluice.dev/demo:red")
	template.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 2}}}
	if _, err := c.CoreV1().Pods(c.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "drain", Labels: map[string]string{"app": "drain"}}, Spec: template.Spec,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	isReady := func(p *corev1.Pod) bool {
		r := conditionOf(p.Status.Conditions, corev1.PodReady)
		return r != nil && r.Status == corev1.ConditionTrue
	}
	c.waitPod(t, "drain", "ready", isReady)
	if err := c.CoreV1().Pods(c.namespace).Delete(t.Context(), "drain", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	c.wait(t, "the pod to go", func() (bool, string) {
		p, err := c.CoreV1().Pods(c.namespace).Get(t.Context(), "drain", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, ""
		}
		if err == nil && time.Since(begin) < time.Second && !isReady(p) {
			t.Errorf("not ready while preStop runs: %+v", p.Status)
		}
		return false, fmt.Sprintf("%+v", p)
	})
	if took := time.Since(begin); took < 2*time.Second || took > 10*time.Second {
		t.Errorf("the pod was gone after %v, want a little more than its 2s of preStop", took)
	}
}
