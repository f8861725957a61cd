package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// colours that the demo application has, in the order in which they are released.
var colours = []string{"blue", "green", "yellow", "orange", "purple", "red"}

// live shows the traffic, starts a release and lets the person decide, until he has seen enough.
func (d *demo) live(ctx context.Context, terminal bool) error {
	d.say("The Rollout, which restarts nothing and changes no route:")
	if err := d.show(ctx, "kubectl", "apply", "-f", d.example("rollout.yaml")); err != nil {
		return err
	}
	err := until(ctx, soon, "the Rollout is healthy", func() error {
		if r := d.journal.state(); r == nil || r.Status.Phase != v1alpha1.RolloutHealthy {
			return fmt.Errorf("%s", said(r))
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.say("A release starts when the Deployment gets another image:")
	if err := d.setImage(ctx, "green"); err != nil {
		return err
	}
	if !terminal {
		return d.lines(ctx)
	}
	return d.picture(ctx)
}

// lines tells once a second, for logs and pipes.
func (d *demo) lines(ctx context.Context) error {
	d.say("In a second terminal:\n\n%s\n\nCtrl-C here ends everything.\n", d.hints())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			s := d.color.last(1)[0]
			fmt.Fprintf(d.out, "%4.0fs  %-34s failed %d of %d  %s\n", time.Since(d.begin).Seconds(), counts(s.counts),
				d.color.read(d.color.all).failed, d.color.read(d.color.all).total, d.standing())
		}
	}
}

// hints is what to type elsewhere.
func (d *demo) hints() string {
	return fmt.Sprintf("  export KUBECONFIG=%s PATH=%s:$PATH\n  sluice get shop -w     sluice promote shop     sluice "+
		"abort shop\n"+
		"  kubectl set image deployment/shop web=argoproj/rollouts-demo:yellow", d.kubeconfig, d.tools())
}

// standing is where the shop stands, in one line.
func (d *demo) standing() string {
	r := d.journal.state()
	if r == nil {
		return ""
	}
	s := string(r.Status.Phase)
	if r.Status.Step != "" {
		s = fmt.Sprintf("%s %s step %s", r.Status.CurrentRelease, s, r.Status.Step)
	}
	if w := r.Status.WaitingFor; w != nil {
		s += ", waits: " + w.Message
		if w.Until != nil && time.Until(w.Until.Time) < time.Hour { // a person has days
			s += fmt.Sprintf(" (%s left)", max(0, time.Until(w.Until.Time)).Round(time.Second))
		}
	}
	return s
}

// picture redraws the screen and takes keys.
func (d *demo) picture(ctx context.Context) error {
	screen, err := openScreen(os.Stdin, d.out)
	if err != nil {
		return err
	}
	defer screen.close()
	log := &lastLines{keep: 7}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		screen.draw(d.frame(log.all()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case key := <-screen.keys:
			if key == 'q' || key == 3 { // Ctrl-C is a key here
				return context.Canceled
			}
			if args := d.meaning(key); args != nil {
				go d.act(ctx, log, args)
			}
		case <-tick.C:
		}
	}
}

// meaning is the command that a key stands for.
func (d *demo) meaning(key byte) []string {
	switch key {
	case 'p':
		return []string{"sluice", "promote", shop}
	case 'f':
		return []string{"sluice", "promote", shop, "--full"}
	case 'a':
		return []string{"sluice", "abort", shop}
	case 'n':
		return []string{"kubectl", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:" + d.nextColour()}
	}
	return nil
}

func (d *demo) act(ctx context.Context, log *lastLines, args []string) {
	log.add("$ " + strings.Join(args, " "))
	output, err := d.command(ctx, args[0], args[1:]...)
	if output == "" && err != nil {
		output = err.Error()
	}
	for line := range strings.Lines(output) {
		log.add("  " + strings.TrimRight(line, "\n"))
	}
}

// nextColour comes after the newest that was asked for.
func (d *demo) nextColour() string {
	newest := "blue"
	if r := d.journal.state(); r != nil {
		if rel := d.journal.release(r.Status.CurrentRelease); rel != nil && len(rel.Spec.To.Images) > 0 {
			newest = colourOf(rel.Spec.To.Images[0].Image)
		}
	}
	return colours[(slices.Index(colours, newest)+1)%len(colours)]
}
