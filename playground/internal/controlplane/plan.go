package controlplane

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

const (
	pkiDir    = "pki"
	configDir = "config"
	logDir    = "logs"

	auditPolicyFile     = "audit-policy.yaml"
	schedulerConfigFile = "scheduler.yaml"
)

//go:embed manifests/audit-policy.yaml
var auditPolicy []byte

//go:embed manifests/scheduler.yaml
var schedulerConfig string

// plan is all that is settled before the first process starts: where everything is and listens.
type plan struct {
	options     Options
	dir         *directory
	credentials *credentials

	etcdAddress      string
	apiHost, apiPort string
}

// prepare opens the directory, chooses the addresses and writes the files that the components read.
func prepare(o Options) (_ *plan, err error) {
	dir, err := openDirectory(o.Dir, o.Ephemeral, component.Version())
	if err != nil {
		return nil, err
	}
	p := &plan{options: o, dir: dir}
	for _, step := range []func() error{p.chooseAddresses, p.makeCredentials, p.writeConfigs} {
		if err := step(); err != nil {
			return nil, closeAfter(err, dir)
		}
	}
	return p, nil
}

func closeAfter(err error, dir *directory) error {
	if closeErr := dir.close(dir.marker.Ephemeral); closeErr != nil {
		return fmt.Errorf("%w (and closing the directory: %w)", err, closeErr)
	}
	return err
}

func (p *plan) chooseAddresses() error {
	api, err := apiAddress(p.options.Listen, p.dir.marker.API)
	if err != nil {
		return err
	}
	if last := p.dir.marker.API; last != "" && last != api && p.options.Listen == "" {
		p.options.Log.Warn("another process took the API server's last address: copies of the kubeconfig no longer work",
			"last", last, "now", api)
	}
	if p.etcdAddress, err = freeAddress(); err != nil {
		return err
	}
	if p.apiHost, p.apiPort, err = net.SplitHostPort(api); err != nil {
		return fmt.Errorf("split API server address: %w", err)
	}
	p.dir.marker.API = api
	return p.dir.save()
}

func (p *plan) makeCredentials() error {
	c, err := loadCredentials(p.dir.file(pkiDir))
	if err != nil {
		return err
	}
	p.credentials = c
	return c.writeComponentFiles()
}

func (p *plan) writeConfigs() error {
	for _, d := range []string{configDir, logDir} {
		if err := os.MkdirAll(p.dir.file(d), 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	for _, name := range []string{controllerManagerName, schedulerName} {
		data, err := p.credentials.kubeconfig(p.server(), "system:"+name, nil)
		if err != nil {
			return err
		}
		if err := writeAtomically(p.dir.file(configDir, name+".kubeconfig"), data); err != nil {
			return err
		}
	}
	if err := writeAtomically(p.dir.file(configDir, auditPolicyFile), auditPolicy); err != nil {
		return err
	}
	kubeconfig := fmt.Sprintf("%q", p.dir.file(configDir, schedulerName+".kubeconfig"))
	scheduler := strings.ReplaceAll(schedulerConfig, "KUBECONFIG", kubeconfig)
	return writeAtomically(p.dir.file(configDir, schedulerConfigFile), []byte(scheduler))
}

func (p *plan) server() string { return "https://" + net.JoinHostPort(p.apiHost, p.apiPort) }
