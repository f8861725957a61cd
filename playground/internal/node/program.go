package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/sluice-dev/sluice/playground/internal/checker"
	"github.com/sluice-dev/sluice/playground/internal/demoapp"
)

// program is what an image runs. It is called with the pod's lock held and must not
// block: it opens its ports, so that they are open when the container counts as
// started, and returns what to run on a goroutine; nil for a program that only waits
// to be ended. What it returns gives the exit code.
type program func(*call) (run func() int)

// call is a program's view of the world: arguments, environment, output, signals.
type call struct {
	*process
	host               *host
	command, args      []string
	env                map[string]string
	out                io.Writer
	image              string
	namespace, pod, ip string
	container          string
	scraped            *scraped // may be nil
}

func (c *call) say(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format+"\n", args...) }

// Names of the built-in images.
const (
	argoDemoImage   = "argoproj/rollouts-demo"
	sluiceDemoImage = "sluice.dev/demo"
	checkImage      = "sluice.dev/check"
	pauseImage      = "sluice.dev/pause"
)

// unknownImage says which images there are.
type unknownImage struct{ image, why string }

func (e *unknownImage) Error() string {
	return fmt.Sprintf("%s: the playground runs only the images built into it: %s:TAG, %s:TAG (%s), %s, %s",
		e.why, argoDemoImage, sluiceDemoImage, strings.Join(demoapp.Tags(), ", "), checkImage, pauseImage)
}

// builtIn finds the program of an image, as pulling it would.
func builtIn(image string) (program, error) {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, &unknownImage{image, fmt.Sprintf("parse image %q: %v", image, err)}
	}
	tag := "latest"
	if tagged, ok := reference.TagNameOnly(ref).(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	switch reference.FamiliarName(ref) {
	case argoDemoImage, sluiceDemoImage:
		if _, err := demoapp.Parse(tag, nil); err != nil {
			return nil, &unknownImage{image, fmt.Sprintf("%q not found", image)}
		}
		return demo(tag), nil
	case checkImage:
		return check, nil
	case pauseImage:
		return pause, nil
	}
	return nil, &unknownImage{image, fmt.Sprintf("%q not found", image)}
}

// quiet tells of images that are run by the thousand: their pods come and go without
// events.
func quiet(image string) bool { return strings.HasPrefix(image, pauseImage) }

// pause does nothing until it is ended.
func pause(*call) func() int { return nil }

// check runs the checker with the cluster's names.
func check(c *call) func() int {
	args := append(c.command[min(1, len(c.command)):], c.args...)
	return func() int {
		transport := &http.Transport{DialContext: c.host.network.DialFrom(c.namespace), MaxIdleConnsPerHost: 2}
		defer transport.CloseIdleConnections()
		return checker.Run(c.terminated, args, c.out, &http.Client{Transport: transport})
	}
}

// demo runs the demo application.
func demo(tag string) program {
	return func(c *call) func() int {
		config, err := demoapp.Parse(tag, c.env)
		if err != nil {
			return c.fails(err)
		}
		config.Pod = c.pod
		if config.Crash && config.CrashAfter == 0 {
			return func() int {
				c.say("demo %s: told to crash at once: exit code %d", tag, config.ExitCode)
				return config.ExitCode
			}
		}
		if config.StartDelay > 0 {
			return func() int { return serveLater(c, config) }
		}
		serve, err := listen(c, config)
		if err != nil {
			return c.fails(err)
		}
		return serve
	}
}

func (c *call) fails(err error) func() int {
	return func() int {
		c.say("demo: %v", err)
		return 1
	}
}

// serveLater is a slow start: nothing listens until the delay is over.
func serveLater(c *call, config demoapp.Config) int {
	if config.StartDelay == demoapp.Never {
		c.say("demo %s: waits for a dependency that never comes; it will not listen", config.Version)
	} else {
		c.say("demo %s: starts in %s", config.Version, config.StartDelay)
	}
	timer := time.NewTimer(config.StartDelay)
	defer timer.Stop()
	select {
	case <-c.terminated.Done():
		return 0
	case <-timer.C:
	}
	serve, err := listen(c, config)
	if err != nil {
		return c.fails(err)()
	}
	return serve()
}

// listen opens the port and returns what serves it until SIGTERM or the planned crash.
func listen(c *call, config demoapp.Config) (func() int, error) {
	l, err := c.host.network.Listen(c.terminated, c.ip, config.Port)
	if err != nil {
		return nil, err
	}
	l = c.scraped.serves(l, c.container, c.ip, config.Port)
	server := &http.Server{Handler: closing(c.terminated, demoapp.New(config, nil)), ReadHeaderTimeout: 30 * time.Second}
	return func() int {
		c.say("demo %s: serves %s on %s:%d", config.Version, config.Colour, c.ip, config.Port)
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(l) }()
		select {
		case err := <-failed:
			c.say("demo: %v", err)
			return 1
		case <-crash(config):
			_ = server.Close()
			c.say("demo %s: crashes after %s as told: exit code %d", config.Version, config.CrashAfter, config.ExitCode)
			return config.ExitCode
		case <-c.terminated.Done():
			return shutDown(c, server, config.TerminationDelay)
		}
	}, nil
}

func crash(config demoapp.Config) <-chan time.Time {
	if !config.Crash {
		return nil
	}
	return time.After(config.CrashAfter)
}

// closing asks clients, from SIGTERM on, to close their connections after the answer.
// Connections that are idle stay open meanwhile: closing one just when a request is
// sent on it would fail that request.
func closing(terminated context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if terminated.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// shutDown serves on for the delay, then takes no new connections and lets the requests
// in flight finish, until SIGKILL.
func shutDown(c *call, server *http.Server, delay time.Duration) int {
	c.say("demo: SIGTERM: stops in %s, when the requests in flight are finished", delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.killed.Done():
	}
	if err := server.Shutdown(c.killed); err != nil {
		_ = server.Close()
		return 137
	}
	c.say("demo: done")
	return 0
}
