package demoapp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Never is a START_DELAY that does not end: the application never listens.
const Never = time.Duration(1<<63 - 1)

// Colours are the tags that name a healthy version.
var Colours = []string{"blue", "green", "yellow", "red", "orange", "purple"}

// Config is how one instance of the application behaves.
type Config struct {
	Version string // the image's tag, told by /version and X-Version
	Pod     string // told by /version and X-Pod

	Colour     string
	ErrorRate  float64       // share of requests answered with 500, in percent
	Latency    time.Duration // longest answer time; each request waits a random part of it, or all of it with FixedDelay
	FixedDelay bool          // every request waits the whole Latency

	StartDelay time.Duration // before it listens
	Crash      bool          // exits by itself, after CrashAfter
	CrashAfter time.Duration
	ExitCode   int // of that exit
	Port       int

	// TerminationDelay is how long it serves on after SIGTERM, telling clients to close
	// their connections: gateways need a moment to learn that the pod is going.
	TerminationDelay time.Duration
}

// What the tags mean, beside the colours.
const (
	badErrorRate  = 15
	slowLatency   = 2 * time.Second
	slowStart     = 10 * time.Second
	defaultPort   = 8080
	defaultColour = "blue"

	// Longer than the EndpointSlice controller's first back-off of 1s, so that no gateway sends a request to a pod that
	// no longer serves. The original waits 10 seconds.
	defaultTerminationDelay = 3 * time.Second
)

// Parse reads the behaviour from an image tag and the container's environment; the
// environment wins. An error names the variable and what it may be.
func Parse(tag string, env map[string]string) (Config, error) {
	c, err := fromTag(tag)
	if err != nil {
		return Config{}, err
	}
	for _, read := range []func(*Config, map[string]string) error{
		readColour, readErrorRate, readLatency, readStartDelay, readCrash, readExitCode, readPort, readTerminationDelay,
	} {
		if err := read(&c, env); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// Tags returns every tag that Parse knows.
func Tags() []string {
	tags := []string{"latest", "crash", "never-ready", "slow-start"}
	for _, c := range Colours {
		tags = append(tags, c, "bad-"+c, "slow-"+c)
	}
	slices.Sort(tags)
	return tags
}

func fromTag(tag string) (Config, error) {
	c := Config{
		Version: tag, Colour: defaultColour, Port: defaultPort, ExitCode: 1,
		TerminationDelay: defaultTerminationDelay,
	}
	switch tag {
	case "latest":
		return c, nil
	case "crash":
		c.Crash = true
		return c, nil
	case "never-ready":
		c.StartDelay = Never
		return c, nil
	case "slow-start":
		c.StartDelay = slowStart
		return c, nil
	}
	kind, colour, mixed := strings.Cut(tag, "-")
	if !mixed {
		colour = tag
	}
	switch {
	case !slices.Contains(Colours, colour), mixed && kind != "bad" && kind != "slow":
		return Config{}, fmt.Errorf("tag %q is unknown: use one of %s", tag, strings.Join(Tags(), ", "))
	case kind == "bad":
		c.ErrorRate = badErrorRate
	case kind == "slow":
		c.Latency = slowLatency
	}
	c.Colour = colour
	return c, nil
}

func readColour(c *Config, env map[string]string) error {
	if v := env["COLOR"]; v != "" {
		c.Colour = v
	}
	return nil
}

func readErrorRate(c *Config, env map[string]string) error {
	v := env["ERROR_RATE"]
	if v == "" {
		return nil
	}
	rate, err := strconv.ParseFloat(strings.TrimSuffix(v, "%"), 64)
	if err != nil || !(rate >= 0 && rate <= 100) {
		return fmt.Errorf("ERROR_RATE %q: want a number from 0 to 100 (percent)", v)
	}
	c.ErrorRate = rate
	return nil
}

func readLatency(c *Config, env map[string]string) error {
	d, ok, err := duration(env, "LATENCY")
	if ok {
		c.Latency, c.FixedDelay = d, true
	}
	return err
}

func readStartDelay(c *Config, env map[string]string) error {
	d, ok, err := duration(env, "START_DELAY")
	if ok {
		c.StartDelay = d
	}
	return err
}

func readCrash(c *Config, env map[string]string) error {
	d, ok, err := duration(env, "CRASH_AFTER")
	if ok {
		c.Crash, c.CrashAfter = true, d
	}
	return err
}

func readExitCode(c *Config, env map[string]string) error {
	v := env["EXIT_CODE"]
	if v == "" {
		return nil
	}
	code, err := strconv.Atoi(v)
	if err != nil || code < 0 || code > 255 {
		return fmt.Errorf("EXIT_CODE %q: want a number from 0 to 255", v)
	}
	c.ExitCode = code
	return nil
}

func readPort(c *Config, env map[string]string) error {
	v := env["PORT"]
	if v == "" {
		return nil
	}
	port, err := strconv.Atoi(v)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("PORT %q: want a number from 1 to 65535", v)
	}
	c.Port = port
	return nil
}

func readTerminationDelay(c *Config, env map[string]string) error {
	d, ok, err := duration(env, "TERMINATION_DELAY")
	if ok {
		c.TerminationDelay = d
	}
	return err
}

func duration(env map[string]string, name string) (time.Duration, bool, error) {
	v := env[name]
	if v == "" {
		return 0, false, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, false, fmt.Errorf("%s %q: want a duration such as 250ms or 3s", name, v)
	}
	return d, true, nil
}
