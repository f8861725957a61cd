package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/translate"
)

// Options of the command line.
type Options struct {
	// Args are the process's arguments, the program's name first: `kubectl-sluice` makes it speak of itself as
	// `kubectl sluice`, and `kubectl_complete-sluice` completes for it.
	Args []string
	// In, Out and Err are the standard streams.
	In       io.Reader
	Out, Err io.Writer
	// Version of the program.
	Version string
	// Now is the clock.
	Now func() time.Time
	// Layers are the kinds of traffic layers, so that what the controller would ask of them can be asked here. Without
	// them the layers are not looked at. cmd/sluice hands them in, as it does Controller, since this package imports
	// neither.
	Layers translate.LayerKinds
	// Controller runs the controller until ctx ends. Without it there is no such command.
	Controller func(ctx context.Context, cfg *rest.Config, o ControllerOptions) error
}

// Run carries one command line out and returns the exit code.
func Run(ctx context.Context, o Options) int {
	root := newRoot(o)
	args := o.Args[1:]
	// kubectl completes for a plugin by a program of this name, which it calls with the words typed so far. Cobra
	// answers such a question by a hidden command, so that one binary with a link does for both.
	if program(o.Args[0]) == "kubectl_complete-sluice" {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if e, ok := errors.AsType[*exitError](err); err != nil && (!ok || !e.quiet) {
		fmt.Fprintln(o.Err, "error: "+safeLines(sentence(err)))
	}
	return exitCode(err)
}

// env is what every command has. Commands write to out and err and never to the process's own streams, so that tests
// can read what they say.
type env struct {
	*cluster
	in       io.Reader
	out, err io.Writer
	now      clock
	program  string
	paint    painter
	// live tells whether a picture can be redrawn in place, and in how many lines. It is asked for every picture,
	// since the user may change the size of the window.
	live   func() (height int, ok bool)
	layers translate.LayerKinds
}

func newRoot(o Options) *cobra.Command {
	e := &env{
		cluster: newCluster("sluice/"+o.Version, o.Layers),
		in:      o.In, out: o.Out, err: o.Err, now: o.Now,
		program: "sluice",
		paint:   painter{on: colours(o.Out, os.Getenv)},
		live:    terminalHeight(o.Out),
		layers:  o.Layers,
	}
	// Hints that people copy must begin with what they have typed.
	if strings.HasPrefix(program(o.Args[0]), "kubectl") {
		e.program = "kubectl sluice"
	}
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Release new versions on Kubernetes a little at a time, and take them back without harm",
		Long: `Sluice releases new versions of the team's own, unchanged Deployments a little at a time, and takes
them back without harm.

A new version starts when somebody changes the Deployment's pod template (kubectl apply, kubectl set image, Helm,
GitOps, or "sluice start"). These commands show where it stands and say what a person decides; each acts as the
user of the kubeconfig, and what he may decide is plain Kubernetes RBAC.

NAME is a Rollout (shop, rollout/shop) or one of its releases (shop-1, release/shop-1).

` + exitHelp,
		// Run prints the error itself, safe for a terminal and with its remedy. The usage of a command under a refused
		// decision would push the reason off the screen.
		SilenceErrors: true, SilenceUsage: true,
		// Use cannot be "kubectl sluice": cobra takes its first word for the name of the command.
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: e.program},
		Version:     o.Version,
	}
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	root.SetVersionTemplate("sluice {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())
	})
	e.bind(root.PersistentFlags())
	addCommands(root, e, o)
	return root
}

func addCommands(root *cobra.Command, e *env, o Options) {
	groups := []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"see", "See where a release stands:", []*cobra.Command{
			newGet(e), newList(e), newStatus(e), newPending(e), newHistory(e),
		}},
		{"decide", "Decide:", append(newVerbs(e), newRetry(e), newRollback(e), newStart(e))},
		{"before", "Before anything moves:", []*cobra.Command{newPlan(e), newLint(e)}},
		{"cluster", "The cluster:", clusterCommands(e, o)},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(newVersion(o.Version))
	root.InitDefaultHelpCmd()
}

func clusterCommands(e *env, o Options) []*cobra.Command {
	if o.Controller == nil {
		return []*cobra.Command{newInstall(e), newUninstall(e, nil)}
	}
	back := func(ctx context.Context, cfg *rest.Config, namespaces []string) error {
		// This controller runs for minutes beside the user: nobody scrapes or probes it, and the ports may be taken.
		return o.Controller(ctx, cfg, ControllerOptions{MetricsAddress: "0", ProbeAddress: "0", Namespaces: namespaces})
	}
	return []*cobra.Command{newInstall(e), newUninstall(e, back), newController(e, o.Controller)}
}

// reach connects and tells the namespace, which most commands begin with. No request is sent yet: a cluster that does
// not answer is told by the first read.
func (e *env) reach() (client.WithWatch, string, error) {
	ns, err := e.namespace()
	if err != nil {
		return nil, "", err
	}
	c, err := e.connect()
	return c, ns, err
}

// program is the name by which the process was called, with the separators and the suffix of Windows taken off, too.
func program(path string) string {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	return strings.TrimSuffix(name, ".exe")
}
