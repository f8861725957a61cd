package controlplane

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

const defaultStartTimeout = time.Minute

// Options say how a control plane is to be started. Only Dir is required.
type Options struct {
	// Dir holds everything: data, certificates, logs. It is made if it does not exist.
	Dir string
	// Ephemeral wipes Dir at the start and removes it at the end, and does not force writes to the disk.
	Ephemeral bool
	// Listen is the API server's address. Empty means a free port, which the directory remembers.
	Listen string
	// AuditLog is a file for the API server's audit log, one JSON object a line. Empty means none.
	AuditLog string
	// NoMutatingPolicies makes a cluster without MutatingAdmissionPolicy, as all were before 1.36:
	// its kinds are not served and nothing acts on them.
	NoMutatingPolicies bool
	// ExtraArgs are further flags of a component, by its name; they come last and so win.
	ExtraArgs map[string][]string
	// Command starts a component when followed by its name and flags. Empty means this very binary.
	Command []string
	// StartTimeout bounds Start. Zero means a minute.
	StartTimeout time.Duration
	// Log receives what is worth knowing. Nil means nothing is logged.
	Log *slog.Logger
}

// complete fills in the defaults and refuses what cannot work.
func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("no directory given: name one to keep the cluster in")
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, fmt.Errorf("resolve directory: %w", err)
	}
	if o.AuditLog != "" {
		if o.AuditLog, err = filepath.Abs(o.AuditLog); err != nil {
			return o, fmt.Errorf("resolve audit log: %w", err)
		}
	}
	for name := range o.ExtraArgs {
		if !isComponent(name) {
			return o, fmt.Errorf("flags given for component %q: want one of %v", name, componentNames)
		}
	}
	if len(o.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find own binary: %w", err)
		}
		o.Command = []string{self, component.Argument}
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, validateListen(o.Listen)
}

// validateListen demands loopback: the playground is for this machine, and its admin is all-powerful.
func validateListen(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("API server address %q: want host:port: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("API server address %q: the playground serves this machine only: use a loopback address such as "+
			"127.0.0.1:6443", address)
	}
	return nil
}
