package controlplane

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	adminGroup  = "system:masters"
	adminUser   = "playground-admin"
	contextName = "sluice-playground"

	kubernetesAuthority = "ca"
	etcdAuthority       = "etcd-ca"
)

// apiHosts are the names by which the API server may be reached.
var apiHosts = []string{
	"127.0.0.1", "::1", "localhost", firstServiceIP,
	"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
}

// credentials are all keys and certificates of one playground: the authorities are kept in the
// directory, everything that they sign is made anew at each start.
type credentials struct {
	dir    string
	ca     *authority
	etcdCA *authority
}

func loadCredentials(dir string) (*credentials, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for certificates: %w", err)
	}
	ca, err := loadAuthority(dir, kubernetesAuthority)
	if err != nil {
		return nil, err
	}
	etcdCA, err := loadAuthority(dir, etcdAuthority)
	if err != nil {
		return nil, err
	}
	return &credentials{dir: dir, ca: ca, etcdCA: etcdCA}, nil
}

// writeComponentFiles issues what the components read from files.
func (c *credentials) writeComponentFiles() error {
	loopback := []string{"127.0.0.1", "localhost"}
	for file, by := range map[string]struct {
		authority *authority
		subject   subject
	}{
		"etcd":           {c.etcdCA, subject{name: "etcd", server: true, hosts: loopback}},
		"etcd-client":    {c.etcdCA, subject{name: "kube-apiserver"}},
		"apiserver":      {c.ca, subject{name: "kube-apiserver", server: true, hosts: apiHosts}},
		"kubelet-client": {c.ca, subject{name: "kube-apiserver-kubelet-client", groups: []string{adminGroup}}},
	} {
		p, err := by.authority.issue(by.subject)
		if err != nil {
			return err
		}
		if err := p.write(c.file(file+".crt"), c.file(file+".key")); err != nil {
			return err
		}
	}
	return ensureTokenKey(c.file("service-account.key"), c.file("service-account.pub"))
}

func (c *credentials) file(name string) string { return filepath.Join(c.dir, name) }

// kubeconfig issues a client certificate and wraps it up with all that a client needs to use it.
func (c *credentials) kubeconfig(server, user string, groups []string) ([]byte, error) {
	p, err := c.ca.issue(subject{name: user, groups: groups})
	if err != nil {
		return nil, err
	}
	config := clientcmdapi.NewConfig()
	config.CurrentContext = contextName
	config.Clusters[contextName] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: c.ca.pem}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: p.cert, ClientKeyData: p.key}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: user}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig for %s: %w", user, err)
	}
	return data, nil
}

// config is the kubeconfig for clients in this process, which bring no rate limit of their own.
func (c *credentials) config(server, user string, groups []string) (*rest.Config, error) {
	data, err := c.kubeconfig(server, user, groups)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig for %s: %w", user, err)
	}
	config.QPS = -1
	return config, nil
}

// kubeletTLS is for the HTTPS endpoint of a node: it shows a certificate that the API server trusts
// and lets nobody in whom the playground's authority does not vouch for.
func (c *credentials) kubeletTLS() (*tls.Config, error) {
	p, err := c.ca.issue(subject{name: "kubelet", server: true, hosts: []string{"127.0.0.1", "::1", "localhost"}})
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, fmt.Errorf("load kubelet certificate: %w", err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(c.ca.cert)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

// CheckKubeconfig tells whether a playground may write its kubeconfig to path: a file with access to
// other clusters, such as the user's own, is not overwritten.
func CheckKubeconfig(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(data) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	const remedy = "it would be overwritten: name another file, or remove this one"
	config, err := clientcmd.Load(data)
	if err != nil {
		return fmt.Errorf("%s is no kubeconfig (%w): %s", path, err, remedy)
	}
	for name := range config.Clusters {
		if name != contextName {
			return fmt.Errorf("%s holds access to another cluster, %q: %s", path, name, remedy)
		}
	}
	if len(config.Clusters) == 0 {
		return fmt.Errorf("%s is not a playground's kubeconfig: %s", path, remedy)
	}
	return nil
}

// UserKubeconfig returns a kubeconfig for a user of the playground in dir, which need not run.
// The user has no rights but those that RBAC gives to the name and the groups.
func UserKubeconfig(dir, user string, groups []string) ([]byte, error) {
	if user == "" {
		return nil, errors.New("user name is empty: name the user")
	}
	m, err := readMarker(dir)
	if err != nil {
		return nil, err
	}
	if m == nil || m.API == "" {
		return nil, fmt.Errorf("%w: %s: start one there first, with `up --dir`", ErrForeign, dir)
	}
	c, err := loadCredentials(filepath.Join(dir, pkiDir))
	if err != nil {
		return nil, err
	}
	return c.kubeconfig("https://"+m.API, user, groups)
}
