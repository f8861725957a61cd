package metrictest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// allCredentials is a connection with a password and a secret header, where the source has one and does not send an
// Authorization of its own.
func allCredentials(k Kit) (*v1alpha1.Connection, Secrets) {
	if !k.Connection {
		return nil, nil
	}
	c := &v1alpha1.Connection{Headers: []v1alpha1.RequestHeader{
		{Name: "X-Scope-OrgID", Value: "team"},
		{Name: "X-Key", Secret: &v1alpha1.SecretKeyReference{Name: "header", Key: "value"}},
	}}
	more := Secrets{"header": {"value": "headersecret"}}
	if len(k.Secrets) == 0 {
		c.BasicAuth = &v1alpha1.SecretReference{Name: "basic"}
		more["basic"] = map[string]string{"username": "gustav", "password": "correct horse"}
	}
	return c, more
}

// connection goes over TLS with a CA and a client certificate of its own, and with credentials; and without each it
// does not.
func connection(t *testing.T, k Kit) {
	t.Helper()
	if !k.Connection {
		t.Skip("the source has no connection")
	}
	ca, mine, theirs := authority(t)
	var mu sync.Mutex
	var sent http.Header
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		sent = r.Header.Clone()
		mu.Unlock()
		k.Good(w, r)
	}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{theirs}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()

	c, more := allCredentials(k)
	more["ca"] = map[string]string{"ca.crt": ca}
	more["client"] = mine
	c.CA = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	c.ClientCertificate = &v1alpha1.SecretReference{Name: "client"}
	ask := func(c *v1alpha1.Connection) error {
		r, err := k.Source.Measure(t.Context(), k.Query(t, s.URL, c, more))
		k.clean(t, r, err, more)
		return err
	}
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	if sent.Get("X-Key") != "headersecret" || sent.Get("X-Scope-OrgID") != "team" {
		t.Errorf("headers are %v", sent)
	}
	if want := "Basic Z3VzdGF2OmNvcnJlY3QgaG9yc2U="; c.BasicAuth != nil && sent.Get("Authorization") != want {
		t.Errorf("Authorization is %q", sent.Get("Authorization"))
	}
	if c.BasicAuth != nil {
		bearer := c.DeepCopy()
		bearer.BasicAuth, bearer.BearerToken = nil, &v1alpha1.SecretKeyReference{Name: "bearer", Key: "token"}
		more["bearer"] = map[string]string{"token": "bearersecret"}
		if err := ask(bearer); err != nil || sent.Get("Authorization") != "Bearer bearersecret" {
			t.Errorf("Authorization is %q, error %v", sent.Get("Authorization"), err)
		}
	}
	other, _, _ := authority(t)
	more["other"] = map[string]string{"ca.crt": other}
	for _, broken := range []struct {
		want   string
		change func(*v1alpha1.Connection)
	}{
		{"unknown authority", func(c *v1alpha1.Connection) { c.CA = nil }},
		{"its certificate is", func(c *v1alpha1.Connection) { c.CA.Name = "other" }},
		{"refuses the TLS connection", func(c *v1alpha1.Connection) { c.ClientCertificate = nil }},
	} {
		c := c.DeepCopy()
		broken.change(c)
		if err := ask(c); err == nil || !strings.Contains(err.Error(), broken.want) {
			t.Errorf("error is %v, not %q", err, broken.want)
		}
	}
}

func brokenCredentials(t *testing.T, k Kit) {
	t.Helper()
	if !k.Connection {
		t.Skip("the source has no connection")
	}
	key := func(name string) *v1alpha1.SecretKeyReference {
		return &v1alpha1.SecretKeyReference{Name: name, Key: "key"}
	}
	more := Secrets{
		"empty":   {"key": "\n"},
		"garbage": {"key": "garbage-secret", "tls.crt": "garbage-crt", "tls.key": "garbage-key"},
		"control": {"key": "line-one\r\nX-Evil: yes"},
		"half":    {"username": "gustav"},
	}
	half := &v1alpha1.SecretReference{Name: "half"}
	type header = v1alpha1.RequestHeader
	headers := func(all ...header) v1alpha1.Connection { return v1alpha1.Connection{Headers: all} }
	for want, c := range map[string]v1alpha1.Connection{
		"connection.bearerToken: read key key of Secret none":           {BearerToken: key("none")},
		"connection.bearerToken: key key of Secret empty is empty":      {BearerToken: key("empty")},
		"connection.bearerToken: key key of Secret control has control": {BearerToken: key("control")},
		"connection.basicAuth: read key password of Secret half":        {BasicAuth: half},
		"connection: set bearerToken or basicAuth":                      {BasicAuth: half, BearerToken: key("garbage")},
		"connection.ca: key key of Secret garbage has no certificate":   {CA: key("garbage")},
		"connection.clientCertificate: tls.crt and tls.key of Secret garbage": {
			ClientCertificate: &v1alpha1.SecretReference{Name: "garbage"},
		},
		"connection.headers, host: Host is not for a template to set": headers(
			header{Name: "host", Value: "kubernetes"},
		),
		"connection.headers, X-Key: read key key of Secret none": headers(
			header{Name: "X-Key", Secret: key("none")},
		),
		"connection.headers, x-a: X-A is set twice": headers(
			header{Name: "X-A", Value: "1"}, header{Name: "x-a", Value: "2"},
		),
		"connection.headers, X-Key: key key of Secret control has control char": headers(
			header{Name: "X-Key", Secret: key("control")},
		),
	} {
		r, err := k.Source.Measure(t.Context(), k.Query(t, "http://127.0.0.1:9", &c, more))
		k.clean(t, r, err, Secrets{"garbage": more["garbage"], "control": more["control"]})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, not %q", err, want)
		}
	}
	s := httptest.NewServer(k.Good)
	defer s.Close()
	late := &v1alpha1.Connection{Timeout: &metav1.Duration{Duration: time.Nanosecond}}
	r, err := k.Source.Measure(t.Context(), k.Query(t, s.URL, late, nil))
	k.clean(t, r, err, nil)
	if err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("error after connection.timeout: %v", err)
	}
}

// authority makes a CA in PEM, a client's Secret and a server's certificate for 127.0.0.1.
func authority(t *testing.T) (ca string, client map[string]string, server tls.Certificate) {
	t.Helper()
	template := func(n int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: "sluice"},
			NotBefore:   time.Now().Add(-time.Hour), //nolint:forbidigo // TLS has no other clock
			NotAfter:    time.Now().Add(time.Hour),  //nolint:forbidigo // TLS has no other clock
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
	}
	root := template(1)
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	rootKey := newKey(t)
	rootPEM := issue(t, root, root, rootKey, rootKey)
	leaf := template(2)
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	leafKey := newKey(t)
	leafPEM := issue(t, leaf, root, leafKey, rootKey)
	der, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	pair, err := tls.X509KeyPair([]byte(leafPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return rootPEM, map[string]string{"tls.crt": leafPEM, "tls.key": keyPEM}, pair
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t *testing.T, c, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
