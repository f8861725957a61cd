package node

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestManyPods measures what pods cost this process: PODS=2000 IMAGE=sluice.dev/pause
// KUBECONFIG=... go test -run TestManyPods -v. It needs a control plane whose nodes are
// this test's own, so that the process measured is the one that runs the pods.
func TestManyPods(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("PODS"))
	if err != nil {
		t.Skip("PODS is not set: say how many pods to measure")
	}
	image := os.Getenv("IMAGE")
	if image == "" {
		image = pauseImage
	}
	c := realCluster(t)
	if c.logs {
		t.Skip("the control plane has a playground node of its own: its pods would not be measured here")
	}
	before := heap()
	begin := time.Now()
	d := c.deploy(t, "many", image, 0)
	template := d.Spec.Template
	if image == pauseImage {
		template.Spec.Containers[0].ReadinessProbe = nil
	}
	d.Spec.Template, d.Spec.Replicas = template, new(int32(n))
	if _, err := c.AppsV1().Deployments(c.namespace).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitAvailable(t, "many", int32(n))
	took := time.Since(begin)
	t.Logf("%d pods of %s ready after %v, %.1f KiB of heap a pod, %d goroutines, %.2fs CPU so far", n, image,
		took.Round(time.Millisecond), float64(heap()-before)/1024/float64(n), runtime.NumGoroutine(), cpu().Seconds())
	profile(t)
	used := cpu()
	const idle = 20 * time.Second
	time.Sleep(idle) // the measurement itself
	t.Logf("idle: %.2f%% of a core", 100*(cpu()-used).Seconds()/idle.Seconds())
	begin = time.Now()
	if err := c.AppsV1().Deployments(c.namespace).Delete(t.Context(), "many", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.wait(t, "the pods to go", func() (bool, string) {
		left := len(c.pods(t, "many"))
		return left == 0, strconv.Itoa(left)
	})
	t.Logf("deleted after %v", time.Since(begin).Round(time.Millisecond))
}

// profile writes a heap profile while the pods run, where HEAP_PROFILE says.
func profile(t *testing.T) {
	path := os.Getenv("HEAP_PROFILE")
	if path == "" {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pprof.WriteHeapProfile(f); err != nil {
		t.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
