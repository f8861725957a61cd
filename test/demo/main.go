// Command sluice-demo shows a gray release on real traffic: a playground cluster, Sluice in it, a shop of four pods
// behind an Ingress, and a client that sends requests without pause. A person watches, promotes and aborts; with
// --auto it plays the whole case to the end and checks every promise on the way.
//
// It uses Sluice as a user does: through kubectl, sluice and the gateway. Read on in this order: cluster.go starts
// and ends everything, load.go is the client, journal.go sees what happens in the cluster, live.go is the picture,
// and story.go the checked play.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/term"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// The shop of examples/1-nginx.
const (
	namespace = "default"
	host      = "canary.demo"
	shop      = "shop"
	rate      = 200 // requests a second
)

func main() {
	auto := flag.Bool("auto", false, "play to the end without a person, and check everything")
	what := flag.String("scene", "", "bad: versions that fail or are slow are caught by themselves; it plays alone")
	flag.Parse()
	if s := scene(*what); s != sceneCase && s != sceneBad {
		fmt.Fprintf(os.Stderr, "demo: --scene %q is not known: use bad, or leave it out\n", s)
		os.Exit(2)
	}
	log.SetLogger(logr.Discard()) // what the libraries say; we say ourselves what matters
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Stdout, *auto, scene(*what))
	stop()
	switch {
	case errors.Is(err, context.Canceled) && !*auto:
		fmt.Println("ended; nothing is left")
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is what all parts of the program share.
type demo struct {
	*cluster
	out     io.Writer
	begin   time.Time
	journal *journal
	color   *load // GET /color, which the release is about
	static  *load // GET /static, another team's
}

// run starts everything, plays, and ends everything, whatever happens in between.
func run(ctx context.Context, out io.Writer, auto bool, what scene) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	root, err := repository()
	if err != nil {
		return err
	}
	c, err := startCluster(ctx, out, root, cancel)
	if c != nil {
		defer func() { err = errors.Join(err, c.stop()) }()
	}
	if err != nil {
		return because(ctx, err)
	}
	d := &demo{cluster: c, out: out, begin: time.Now()}
	if d.journal, err = startJournal(ctx, c.config); err != nil {
		return because(ctx, err)
	}
	if err := d.openShop(ctx); err != nil {
		return because(ctx, err)
	}
	defer d.static.stop()
	defer d.color.stop()
	switch {
	case what == sceneBad:
		return because(ctx, d.playBad(ctx))
	case auto:
		return because(ctx, d.play(ctx))
	}
	return because(ctx, d.live(ctx, term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))))
}

// because tells of the child that ended by itself, if one did, rather than of what that brought about.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// openShop makes what the team has, without Sluice, and lets the customers in.
func (d *demo) openShop(ctx context.Context) error {
	d.say("The team's own Deployment, Service and Ingress, and another team's service at /static:")
	if err := d.show(ctx, "kubectl", "apply", "-f", d.example("shop.yaml"), "-f", d.example("assets.yaml")); err != nil {
		return err
	}
	if _, err := d.command(ctx, "kubectl", "rollout", "status", "deployment/shop", "deployment/assets",
		"--timeout=2m"); err != nil {
		return err
	}
	for _, path := range []string{"/color", "/static/logo.png"} {
		if err := until(ctx, time.Minute, "the gateway serves "+path,
			func() error { return ask(ctx, d.gateway+path, nil).err() }); err != nil {
			return err
		}
	}
	d.color, d.static = startLoad(d.gateway+"/color", rate), startLoad(d.gateway+"/static/logo.png", rate/10)
	d.say("Customers come in: %d requests a second to http://%s/color, %d to /static.", rate, host, rate/10)
	return nil
}

func (d *demo) example(file string) string { return filepath.Join("examples", "1-nginx", file) }

// say prints a line of the story.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "\n"+format+"\n", args...) }

// repository finds the root of the repository from where the program is or was called.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "examples", "1-nginx", "rollout.yaml")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("examples/1-nginx not found: call the demo in the repository, as `make demo` does")
}
