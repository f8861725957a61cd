package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/notify"
)

var chat = types.NamespacedName{Namespace: "demo", Name: "chat"}

// bench is a namespace with a Notifier, and the service that it tells.
type bench struct {
	*testing.T
	store client.WithWatch
	r     *Reconciler
	hosts []string
	url   string
	now   time.Time
	// writes counts those of the status; loseAnswer has the next one stored, and its answer lost.
	writes     int
	loseAnswer bool
	forbidden  bool

	mu   sync.Mutex
	told []string
	// broken is how many messages are refused before one is taken; asked counts all that came.
	broken, asked int
	texts         []string
}

func newBench(t *testing.T, change ...func(*v1alpha1.Notifier)) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{T: t, now: began.Add(10 * time.Minute), hosts: []string{"127.0.0.1"}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = server.URL + "/hook/SECRETPATH"
	n := &v1alpha1.Notifier{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "chat", UID: "chat", Generation: 1, CreationTimestamp: at(0)},
		Spec:       v1alpha1.NotifierSpec{Sink: v1alpha1.NotifierSink{Webhook: &v1alpha1.WebhookSink{URL: v1alpha1.SecretKeyReference{Name: "hook", Key: "url"}}}},
	}
	for _, c := range change {
		c(n)
	}
	b.store = fake.NewClientBuilder().WithScheme(scheme).WithObjects(n).
		WithStatusSubresource(&v1alpha1.Notifier{}, &v1alpha1.Release{}).Build()
	b.make(b.secret())
	b.process()
	t.Cleanup(b.crash)
	return b
}

func (b *bench) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "hook"}, Data: map[string][]byte{"url": []byte(b.url)}}
}

// ServeHTTP is the service that is told.
func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct{ Event, Release, Text string }
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		b.Errorf("message: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.broken > 0 {
		b.broken--
		http.Error(w, "no more at "+r.URL.Path, http.StatusServiceUnavailable)
		return
	}
	b.told, b.texts = append(b.told, m.Event+" "+m.Release), append(b.texts, m.Text)
}

// process gives the Reconciler a new process.
func (b *bench) process() {
	b.Helper()
	c := interceptor.NewClient(b.store, interceptor.Funcs{
		Get: func(ctx context.Context, s client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, secret := o.(*corev1.Secret); secret {
				b.mu.Lock()
				defer b.mu.Unlock()
				if b.forbidden {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, errors.New("RBAC"))
				}
			}
			return s.Get(ctx, key, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, s client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			b.writes++
			err := s.SubResource(sub).Patch(ctx, o, p, opts...)
			if err == nil && b.loseAnswer {
				b.loseAnswer = false
				return errors.New("connection reset")
			}
			return err
		},
	})
	egress, err := metric.NewEgress(metric.EgressOptions{Flag: "--notify-hosts", Hosts: b.hosts, AllowLoopback: true})
	if err != nil {
		b.Fatal(err)
	}
	now := func() time.Time { return b.now }
	b.r = New(kube.New(c, c, now), egress, now)
	b.r.Queue = notify.Options{Attempts: 3, Backoff: time.Millisecond, MaxBackoff: time.Millisecond}
}

// crash ends the process without a chance to write anything down.
func (b *bench) crash() { b.r.couriers.close() }

func (b *bench) make(o client.Object) {
	b.Helper()
	if err := b.store.Create(b.Context(), o); err != nil {
		b.Fatal(err)
	}
}

// shows has the cluster show a release so.
func (b *bench) shows(rel *v1alpha1.Release) {
	b.Helper()
	err := b.store.Create(b.Context(), rel.DeepCopy())
	if apierrors.IsAlreadyExists(err) {
		was := &v1alpha1.Release{}
		if err = b.store.Get(b.Context(), client.ObjectKeyFromObject(rel), was); err == nil {
			was.Status = rel.Status
			err = b.store.Status().Update(b.Context(), was)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) notifier() *v1alpha1.Notifier {
	b.Helper()
	n := &v1alpha1.Notifier{}
	if err := b.store.Get(b.Context(), chat, n); err != nil {
		b.Fatal(err)
	}
	return n
}

func (b *bench) change(do func(*v1alpha1.Notifier)) {
	b.Helper()
	n := b.notifier()
	n.Generation++
	do(n)
	if err := b.store.Update(b.Context(), n); err != nil {
		b.Fatal(err)
	}
}

// once reconciles once, and again as long as the Reconciler asks for that soon.
func (b *bench) once() {
	b.Helper()
	for {
		result, err := b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: chat})
		if err != nil && !strings.Contains(err.Error(), "connection reset") {
			b.Fatal(err)
		}
		if err == nil && result.RequeueAfter != loop.StaleDelay && result.RequeueAfter != loop.ConflictDelay {
			return
		}
	}
}

// until reconciles whenever something comes in, as the controller would.
func (b *bench) until(what string, is func() bool) {
	b.Helper()
	limit := time.After(20 * time.Second)
	for b.once(); !is(); b.once() {
		select {
		case <-b.r.landed.Woken():
		case <-limit:
			b.Fatalf("never: %s; the status is %+v", what, b.notifier().Status)
		}
	}
}

// look reconciles until nothing is under way any more, and nothing is left to be written.
func (b *bench) look() v1alpha1.NotifierStatus {
	b.Helper()
	b.until("nothing is under way", func() bool {
		c := b.courier()
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.sent) == 0 && len(c.results) == 0
	})
	return b.notifier().Status
}

func (b *bench) courier() *courier {
	b.r.couriers.mu.Lock()
	defer b.r.couriers.mu.Unlock()
	return b.r.couriers.of[chat]
}

// wasTold has the test fail unless exactly these messages have arrived.
func (b *bench) wasTold(want ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := cmp.Diff(want, b.told); d != "" {
		b.Errorf("was told (-want +got):\n%s", d)
	}
}

var (
	paused = waits(60, "PausedForPerson")
	done   = ends(120, v1alpha1.ReleaseSucceeded)
)

// TestStory: each thing is told once, however often it is looked at, and one write records what came of it.
func TestStory(t *testing.T) {
	b := newBench(t)
	b.look()
	if b.writes != 0 {
		t.Errorf("%d writes for nothing", b.writes)
	}
	for _, tt := range []struct {
		rel  *v1alpha1.Release
		told int
	}{
		{releaseOf("shop-1"), 1},
		{releaseOf("shop-1", happened(60, "StepReached"), paused), 2},
		{releaseOf("shop-1", happened(60, "StepReached"), paused, func(r *v1alpha1.Release) { r.Status.WaitingFor.Message = "other words" }), 2},
		{releaseOf("shop-1", happened(60, "StepReached"), done), 3},
	} {
		b.shows(tt.rel)
		for range 3 {
			s := b.look()
			if s.Delivered != int64(tt.told) || s.Failed != 0 || s.LastError != "" || s.LastDelivered == nil || !s.LastDelivered.Time.Equal(b.now) {
				t.Errorf("the status is %+v, want %d delivered now", s, tt.told)
			}
		}
	}
	b.wasTold("started shop-1", "waiting shop-1", "done shop-1")
	if b.writes != 3 {
		t.Errorf("%d writes, want one for each message", b.writes)
	}
}

// TestBatch: what comes of many messages is written at once.
func TestBatch(t *testing.T) {
	b := newBench(t)
	for i := range 40 {
		b.shows(releaseOf(fmt.Sprintf("shop-%d", i+1)))
	}
	if s := b.look(); s.Delivered != 40 {
		t.Errorf("the status is %+v", s)
	}
	if b.writes != 1 {
		t.Errorf("%d writes, want 1", b.writes)
	}
	b.r.Close(t.Context())
	b.process()
	if s := b.look(); s.Delivered != 40 || b.asked != 40 {
		t.Errorf("%d messages, the status is %+v", b.asked, s)
	}
}

// TestNewNotifier tells no old stories, and all that comes after.
func TestNewNotifier(t *testing.T) {
	b := newBench(t, func(n *v1alpha1.Notifier) { n.CreationTimestamp = at(90) })
	b.shows(releaseOf("old-1", done, happened(80, "StepFailed")))
	b.shows(releaseOf("shop-1", paused))
	b.look()
	b.wasTold("done old-1")
	// A window is told now, although what it waits in began before.
	b.shows(releaseOf("shop-1", waits(60, "WindowShut")))
	b.look()
	b.shows(releaseOf("shop-1", paused))
	b.look()
	b.shows(releaseOf("shop-1", waits(60, "WindowShut")))
	b.look()
	b.wasTold("done old-1", "frozen shop-1")
}

// TestRestart: a new process tells nothing again, and what has happened meanwhile; but nothing that is an hour old.
func TestRestart(t *testing.T) {
	for name, end := range map[string]func(*bench){
		"in order": func(b *bench) { b.r.Close(b.Context()) }, "crash": (*bench).crash,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.shows(releaseOf("shop-1", paused))
			b.look()
			end(b)
			b.shows(releaseOf("shop-1", done))
			b.shows(releaseOf("cart-1", happened(60, "StepFailed"), ends(61, v1alpha1.ReleaseAborted)))
			b.process()
			s := b.look()
			b.wasTold("started shop-1", "waiting shop-1", "started cart-1", "failed cart-1", "aborted cart-1", "done shop-1")
			if s.Delivered != 6 {
				t.Errorf("the status is %+v", s)
			}
			end(b)
			b.shows(releaseOf("late-1", done))
			b.now = began.Add(time.Hour + 90*time.Second)
			b.process()
			b.look()
			b.wasTold("started shop-1", "waiting shop-1", "started cart-1", "failed cart-1", "aborted cart-1", "done shop-1", "done late-1")
		})
	}
}

// TestClose writes down what has arrived although no worker looks any more.
func TestClose(t *testing.T) {
	b := newBench(t)
	b.shows(releaseOf("shop-1"))
	b.once()
	<-b.r.landed.Woken() // It has arrived.
	b.r.Close(t.Context())
	if s := b.notifier().Status; s.Delivered != 1 {
		t.Errorf("the status is %+v", s)
	}
	b.once() // A worker that comes late does nothing.
	b.process()
	b.look()
	b.wasTold("started shop-1")
}

// TestLostAnswer: a write of which no answer came is not counted twice.
func TestLostAnswer(t *testing.T) {
	b := newBench(t)
	b.loseAnswer = true
	b.shows(releaseOf("shop-1", paused))
	b.until("the first write", func() bool { return !b.loseAnswer })
	b.look()
	if s := b.look(); s.Delivered != 2 || s.Failed != 0 {
		t.Errorf("the status is %+v", s)
	}
	b.wasTold("started shop-1", "waiting shop-1")
}

// TestBroken: a sink that fails is tried again; what does not arrive is given up and counted, without a secret, and what
// comes after arrives.
func TestBroken(t *testing.T) {
	b := newBench(t)
	b.broken = 2
	b.shows(releaseOf("shop-1"))
	if s := b.look(); s.Delivered != 1 || s.Failed != 0 || s.LastError != "" || b.asked != 3 {
		t.Errorf("after %d attempts the status is %+v", b.asked, s)
	}
	b.broken = 3
	b.shows(releaseOf("shop-1", paused))
	s := b.look()
	if want := "2026-01-01T12:10:00Z, release shop-1 waiting: the webhook refused the message: it answered 503 Service Unavailable: no more at ***"; s.LastError != want {
		t.Errorf("lastError is %q, want %q", s.LastError, want)
	}
	if s.Delivered != 1 || s.Failed != 1 || b.asked != 6 {
		t.Errorf("after %d attempts the status is %+v", b.asked, s)
	}
	b.shows(releaseOf("shop-1", done))
	if s := b.look(); s.Delivered != 2 || s.Failed != 1 || s.LastError == "" {
		t.Errorf("the status is %+v", s)
	}
	b.crash()
	b.process()
	b.look()
	b.wasTold("started shop-1", "done shop-1") // What was given up is not tried by a new process either.
}

// TestTrouble: as long as a message does not arrive, the status says why; no longer.
func TestTrouble(t *testing.T) {
	b := newBench(t)
	b.r.Queue.Attempts = 1 << 30
	b.broken = 1 << 30
	b.shows(releaseOf("shop-1"))
	b.until("the trouble is told", func() bool {
		return strings.HasPrefix(b.notifier().Status.LastError, "not delivered yet: the webhook refused the message: it answered 503")
	})
	b.mu.Lock()
	b.broken = 0
	b.mu.Unlock()
	if s := b.look(); s.LastError != "" || s.Delivered != 1 || s.Failed != 0 {
		t.Errorf("the status is %+v", s)
	}
}

// TestSecret: what is missing is told before there is a message, with the remedy; once it is there, messages arrive.
func TestSecret(t *testing.T) {
	b := newBench(t)
	b.r.Queue.Attempts = 1 << 30
	if err := b.store.Delete(t.Context(), b.secret()); err != nil {
		t.Fatal(err)
	}
	says := func(words string) {
		t.Helper()
		b.until("the status says "+words, func() bool {
			s := b.notifier().Status.LastError
			return strings.HasPrefix(s, "not delivered yet: read key url of Secret hook: ") && strings.Contains(s, words)
		})
	}
	says("create it")
	b.mu.Lock()
	b.forbidden = true
	b.mu.Unlock()
	b.shows(releaseOf("shop-1"))
	says("kubectl create rolebinding sluice-secret-reader -n demo --clusterrole sluice-secret-reader --serviceaccount sluice-system:sluice")
	b.mu.Lock()
	b.forbidden = false
	b.mu.Unlock()
	b.make(b.secret())
	if s := b.look(); s.LastError != "" || s.Delivered != 1 || s.Failed != 0 {
		t.Errorf("the status is %+v", s)
	}
	b.wasTold("started shop-1")
}

// TestSecretChanges: the address is read again after a failure, and when the Notifier changes.
func TestSecretChanges(t *testing.T) {
	b := newBench(t)
	b.shows(releaseOf("shop-1"))
	b.look()
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	other := b.secret()
	other.Name, other.Data["url"] = "other", []byte(gone.URL)
	b.make(other)
	b.change(func(n *v1alpha1.Notifier) { n.Spec.Sink.Webhook.URL.Name = "other" })
	b.shows(releaseOf("shop-1", paused))
	if s := b.look(); s.Failed != 1 || !strings.Contains(s.LastError, "404 Not Found") {
		t.Errorf("the status is %+v", s)
	}
	other.Data["url"] = []byte(b.url)
	if err := b.store.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	b.shows(releaseOf("shop-1", done))
	b.look()
	b.wasTold("started shop-1", "done shop-1")
}

// TestHosts: only hosts that the installation allows are reached, and the error names the flag.
func TestHosts(t *testing.T) {
	b := newBench(t)
	b.hosts = []string{"hooks.example.com"}
	b.process()
	b.shows(releaseOf("shop-1"))
	if s := b.look(); s.Failed != 1 || !strings.Contains(s.LastError, "--notify-hosts of sluice controller") || strings.Contains(s.LastError, "SECRETPATH") {
		t.Errorf("the status is %+v", s)
	}
	b.wasTold()
}

// TestSelection: the selector picks Rollouts, and events picks what is told of them.
func TestSelection(t *testing.T) {
	b := newBench(t, func(n *v1alpha1.Notifier) {
		n.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}}
		n.Spec.Events = []v1alpha1.NotifierEvent{"waiting", "done"}
	})
	b.make(&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", Labels: map[string]string{"team": "shop"}}})
	b.make(&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "cart"}})
	elsewhere := releaseOf("shop-9", done)
	elsewhere.Namespace = "other"
	for _, rel := range []*v1alpha1.Release{releaseOf("shop-1", waits(60, "WindowShut")), releaseOf("cart-1", paused), releaseOf("gone-1", done), elsewhere} {
		b.shows(rel)
	}
	b.look()
	b.wasTold("waiting shop-1")
	// Whom it did not pick before it does not tell of before.
	b.change(func(n *v1alpha1.Notifier) { n.Spec.Selector, n.Spec.Events = &metav1.LabelSelector{}, nil })
	b.look()
	b.shows(releaseOf("cart-1", done))
	b.look()
	b.wasTold("waiting shop-1", "done cart-1")
	b.change(func(n *v1alpha1.Notifier) {
		n.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Like"}}}
	})
	if s := b.look(); !strings.Contains(s.LastError, "spec.selector: ") {
		t.Errorf("the status is %+v", s)
	}
}

// TestTemplate: the text is as the template has it; one that is wrong keeps nobody in the dark.
func TestTemplate(t *testing.T) {
	b := newBench(t, func(n *v1alpha1.Notifier) {
		n.Spec.Template = "{{.Rollout}} {{.Event}}: {{.Text}} ({{.Fields.Image}} by {{.Fields.Author}})"
	})
	b.shows(releaseOf("shop-1", paused))
	b.look()
	b.change(func(n *v1alpha1.Notifier) { n.Spec.Template = "{{.Nope}}" })
	b.shows(releaseOf("shop-1", done))
	if s := b.look(); !strings.Contains(s.LastError, "Nope") || !strings.Contains(s.LastError, "the usual text is sent") || s.Delivered != 3 {
		t.Errorf("the status is %+v", s)
	}
	want := []string{
		"shop started: demo:green (demo:green by carol)", "shop waiting: for PausedForPerson (demo:green by carol)",
		"The new version serves all requests: because Succeeded",
	}
	if d := cmp.Diff(want, b.texts); d != "" {
		t.Error(d)
	}
	b.change(func(n *v1alpha1.Notifier) { n.Spec.Template = "" })
	if s := b.look(); s.LastError != "" {
		t.Errorf("the template is mended, but the status says %q", s.LastError)
	}
}

// TestDropped: where more wait than are kept, the oldest are dropped, and counted.
func TestDropped(t *testing.T) {
	b := newBench(t)
	b.r.Queue.Limit = 3
	b.mu.Lock() // Nothing is answered before all are put.
	for i := range 8 {
		b.shows(releaseOf(fmt.Sprintf("shop-%d", i+1), func(r *v1alpha1.Release) { r.CreationTimestamp = at(i) }))
	}
	b.once()
	b.mu.Unlock()
	s := b.look()
	if s.Delivered+s.Failed != 8 || s.Failed < 4 || !strings.Contains(s.LastError, "dropped") {
		t.Errorf("the status is %+v", s)
	}
	if got := b.told[len(b.told)-3:]; !cmp.Equal(got, []string{"started shop-6", "started shop-7", "started shop-8"}) {
		t.Errorf("the last that were told are %v", got)
	}
}

// TestDeletion ends what is under way; a new Notifier of the same name begins anew.
func TestDeletion(t *testing.T) {
	b := newBench(t)
	b.r.Queue.Attempts = 1 << 30
	b.broken = 1 << 30
	b.shows(releaseOf("shop-1"))
	b.until("it has been tried", func() bool { return b.notifier().Status.LastError != "" })
	c := b.courier()
	if err := b.store.Delete(t.Context(), b.notifier()); err != nil {
		t.Fatal(err)
	}
	b.once()
	select {
	case <-c.gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the queue goes on")
	}
	b.mu.Lock()
	b.broken = 0
	b.mu.Unlock()
	b.make(&v1alpha1.Notifier{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "chat", UID: "anew", CreationTimestamp: at(60)}, Spec: c.spec(),
	})
	b.shows(releaseOf("shop-1", paused))
	b.look()
	b.wasTold("waiting shop-1")
}

func (c *courier) spec() v1alpha1.NotifierSpec {
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	return v1alpha1.NotifierSpec{Sink: c.sink.spec}
}
