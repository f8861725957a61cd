package controlplane

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

func TestCredentialsSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), pkiDir)
	first := mustLoad(t, dir)
	key := mustRead(t, first.file("service-account.key"))
	leaf := mustRead(t, first.file("apiserver.crt"))

	second := mustLoad(t, dir)
	if !second.ca.cert.Equal(first.ca.cert) || !second.etcdCA.cert.Equal(first.etcdCA.cert) {
		t.Error("an authority was made anew: certificates given to users would be worthless")
	}
	if diff := cmp.Diff(key, mustRead(t, second.file("service-account.key"))); diff != "" {
		t.Error("the service account key was made anew: tokens would be worthless")
	}
	if cmp.Equal(leaf, mustRead(t, second.file("apiserver.crt"))) {
		t.Error("the serving certificate was not made anew: it would expire in a long-lived directory")
	}
}

func TestCertificatesServeTheirPurpose(t *testing.T) {
	c := mustLoad(t, filepath.Join(t.TempDir(), pkiDir))
	kubernetes, etcd := x509.NewCertPool(), x509.NewCertPool()
	kubernetes.AddCert(c.ca.cert)
	etcd.AddCert(c.etcdCA.cert)
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range apiHosts {
		if _, err := certificate(t, c, "apiserver").Verify(x509.VerifyOptions{Roots: kubernetes, DNSName: host, KeyUsages: server}); err != nil {
			t.Errorf("API server as %s: %v", host, err)
		}
	}
	if _, err := certificate(t, c, "etcd").Verify(x509.VerifyOptions{Roots: etcd, DNSName: "127.0.0.1", KeyUsages: server}); err != nil {
		t.Errorf("etcd: %v", err)
	}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	user, err := c.ca.issue(subject{name: "alice", groups: []string{"sre", "dev"}})
	if err != nil {
		t.Fatal(err)
	}
	alice := parse(t, user.cert)
	if _, err := alice.Verify(x509.VerifyOptions{Roots: kubernetes, KeyUsages: client}); err != nil {
		t.Errorf("alice as a client: %v", err)
	}
	if _, err := alice.Verify(x509.VerifyOptions{Roots: kubernetes, KeyUsages: server}); err == nil {
		t.Error("a user's certificate may be used as a server's")
	}
	if _, err := alice.Verify(x509.VerifyOptions{Roots: etcd, KeyUsages: client}); err == nil {
		t.Error("a user's certificate opens etcd, past the API server")
	}
	if diff := cmp.Diff([]string{"dev", "sre"}, alice.Subject.Organization); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestUserKubeconfig(t *testing.T) {
	dir := t.TempDir()
	if _, err := UserKubeconfig(dir, "alice", nil); !errors.Is(err, ErrForeign) {
		t.Errorf("no playground there: got error %v, want %v", err, ErrForeign)
	}
	writeFiles(t, dir, map[string]string{markerFile: `{"format":1,"kubernetes":"v1.36.3","api":"127.0.0.1:6443"}`})
	if _, err := UserKubeconfig(dir, "", nil); err == nil {
		t.Error("no name: got no error")
	}
	data, err := UserKubeconfig(dir, "alice", []string{"sre"})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, config.CertData).Subject
	if config.Host != "https://127.0.0.1:6443" || got.CommonName != "alice" || !cmp.Equal(got.Organization, []string{"sre"}) {
		t.Errorf("got server %s, user %s of %v", config.Host, got.CommonName, got.Organization)
	}
}

func TestCheckKubeconfigSparesOthers(t *testing.T) {
	c := mustLoad(t, filepath.Join(t.TempDir(), pkiDir))
	own, err := c.kubeconfig("https://127.0.0.1:1", adminUser, nil)
	if err != nil {
		t.Fatal(err)
	}
	precious := strings.ReplaceAll(string(own), contextName, "production")
	for name, test := range map[string]struct{ content, want string }{
		"empty":                 {"", ""},
		"of a playground":       {string(own), ""},
		"of another cluster":    {precious, `"production"`},
		"not a kubeconfig":      {"a: [", "no kubeconfig"},
		"YAML of another sort":  {"kind: Config\napiVersion: v1\n", "not a playground's"},
		"a text, not even YAML": {"dear diary", "no kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := CheckKubeconfig(path)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	if err := CheckKubeconfig(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func mustLoad(t *testing.T, dir string) *credentials {
	t.Helper()
	c, err := loadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.writeComponentFiles(); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func certificate(t *testing.T, c *credentials, name string) *x509.Certificate {
	t.Helper()
	return parse(t, mustRead(t, c.file(name+".crt")))
}

func parse(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("no PEM in %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
