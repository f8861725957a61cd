package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/view"
)

// Times of the live display.
const (
	// gather is how long changes are gathered before the picture is drawn anew.
	gather = 50 * time.Millisecond
	// heartbeat redraws a terminal so that ages go on; nothing is read for it.
	heartbeat = time.Second
)

// follower keeps what a picture shows watched, and says when something has changed.
type follower struct {
	cache   cache.Cache
	changed chan struct{}
	failed  chan error
}

// follow begins to watch. The API server pushes every change; nothing is polled.
func (e *env) follow(ctx context.Context, ns string, pods bool) (*follower, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	f := &follower{changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	f.cache, err = cache.New(cfg, cache.Options{
		Scheme: newScheme(), Mapper: newMapper(e.cluster.layers),
		DefaultNamespaces: map[string]cache.Config{ns: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
		DefaultWatchErrorHandler: func(_ context.Context, _ *toolscache.Reflector, err error) {
			// A refused watch is tried again without end, and the display would wait for a first picture that never
			// comes. All other errors pass, as when the API server restarts: the watch is taken up again by itself.
			if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || sayNotInstalled(err) != "" {
				send(f.failed, err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare to watch: %w", err)
	}
	kinds := []client.Object{
		&v1alpha1.Rollout{}, &v1alpha1.Release{}, &v1alpha1.Hold{}, &appsv1.Deployment{}, &appsv1.ReplicaSet{},
	}
	if pods {
		kinds = append(kinds, &corev1.Pod{})
	}
	return f, f.start(ctx, kinds)
}

// start watches the kinds and waits until each has been read once. A kind that may not be read never gets so far; so
// the first failure ends the wait as well.
func (f *follower) start(ctx context.Context, kinds []client.Object) error {
	go func() {
		if err := f.cache.Start(ctx); err != nil {
			send(f.failed, err)
		}
	}()
	synced := make(chan error, 1)
	go func() { synced <- f.handle(ctx, kinds) }()
	select {
	case err := <-synced:
		return err
	case err := <-f.failed:
		return err
	}
}

func (f *follower) handle(ctx context.Context, kinds []client.Object) error {
	touch := func() { send(f.changed, struct{}{}) }
	for _, k := range kinds {
		informer, err := f.cache.GetInformer(ctx, k)
		if err != nil {
			return fmt.Errorf("watch %T: %w", k, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { touch() }, UpdateFunc: func(_, _ any) { touch() }, DeleteFunc: func(any) { touch() },
		}); err != nil {
			return fmt.Errorf("watch %T: %w", k, err)
		}
	}
	if !f.cache.WaitForCacheSync(ctx) {
		return ctx.Err()
	}
	return nil
}

// send never waits: one signal that has not been taken stands for all.
func send[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

// each calls draw at once and after every change, and beat every heartbeat, until ctx ends. That is no error, since
// Ctrl-C is how a user ends a display. An error of draw or beat, or of a watch that is refused, ends it too.
func (f *follower) each(ctx context.Context, draw, beat func() error) error {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	next := draw
	for {
		if err := next(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-f.failed:
			return err
		case <-ticker.C:
			next = beat
		case <-f.changed:
			if !f.settle(ctx) {
				return nil
			}
			next = draw
		}
	}
}

// settle lets a burst of changes arrive: the controller writes several objects in a row, and a picture of each
// single write would show half a change. The signal that has come meanwhile is taken, or else the same picture would
// be drawn twice. It gives false where ctx has ended.
func (f *follower) settle(ctx context.Context) bool {
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	select {
	case <-f.changed:
	default:
	}
	return true
}

func runLive(ctx context.Context, e *env, arg string, o getOptions) error {
	direct, ns, err := e.reach()
	if err != nil {
		return err
	}
	if _, err := resolve(ctx, direct, ns, arg); err != nil { // Fails with a good message before anything is watched.
		return err
	}
	f, err := e.follow(ctx, ns, o.sources(e, nil, nil).pods)
	if err != nil {
		return err
	}
	var picture view.Picture
	// An interrupt in the middle of a read is the end that the user asked for, and no error.
	look := func() error {
		picture, err = o.sources(e, f.cache, direct).look(ctx, ns, arg)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	if _, ok := e.live(); ok {
		return e.redraw(ctx, f, look, func() string { return o.draw(e, picture) })
	}
	return e.printLines(ctx, f, look, func() string { return line(picture) })
}

// redraw shows the picture in place on the terminal's other screen, and leaves the last one behind. So what the user
// had on the terminal before is not lost. The cursor is hidden, since it would jump about, and is given back at every
// end.
func (e *env) redraw(ctx context.Context, f *follower, look func() error, draw func() string) error {
	fmt.Fprint(e.out, "\x1b[?1049h\x1b[?25l")
	last := ""
	show := func() error {
		last = draw()
		height, _ := e.live()
		_, err := fmt.Fprint(e.out, screen(last, height))
		return err
	}
	err := f.each(ctx, func() error {
		if err := look(); err != nil || ctx.Err() != nil {
			return err
		}
		return show()
	}, show)
	fmt.Fprint(e.out, "\x1b[?25h\x1b[?1049l"+last)
	return err
}

// screen writes text from the top left corner, each line to its end, as many as there is room for. Each line is
// cleared behind its text, and not the whole screen before it, which would flicker. One line more than fits would
// scroll the first out of sight, and that has the phase.
func screen(text string, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if height > 0 && len(lines) > height-1 {
		lines = lines[:height-1]
	}
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}

// printLines prints one line for each change that shows in it.
func (e *env) printLines(ctx context.Context, f *follower, look func() error, text func() string) error {
	last := ""
	return f.each(ctx, func() error {
		if err := look(); err != nil || ctx.Err() != nil {
			return err
		}
		now := text()
		if now == last {
			return nil
		}
		last = now
		_, err := fmt.Fprint(e.out, safef("%s  %s\n", e.now().Format("15:04:05"), now))
		return err
	}, func() error { return nil })
}

// line sums a picture up in one line. It has no ages: they would make every line differ from the one before.
func line(p view.Picture) string {
	parts := []string{p.Standing.Name, p.Standing.Phase}
	if r := p.Release; r != nil && !r.Phase.Terminal() {
		if r.Step != "" {
			parts = append(parts, "step "+r.Step)
		}
		if r.Weight != nil {
			parts = append(parts, fmt.Sprintf("%d%%", *r.Weight))
		}
		for _, v := range p.Versions {
			if v.Counted {
				parts = append(parts, fmt.Sprintf("%s %d/%d", v.Role, v.Ready, v.Desired))
			}
		}
	}
	return strings.Join(append(parts, p.Standing.Message), "  ")
}
