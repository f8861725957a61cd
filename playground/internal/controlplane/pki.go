package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// clockSlack lets certificates be good on a clock that was just set back.
	clockSlack = time.Hour

	certificateBlock = "CERTIFICATE"
	privateKeyBlock  = "PRIVATE KEY"
	publicKeyBlock   = "PUBLIC KEY"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// pair is a certificate and its key in PEM.
type pair struct{ cert, key []byte }

// subject is who a certificate speaks for and what it may be used for.
type subject struct {
	name   string
	groups []string
	server bool
	hosts  []string
}

// loadAuthority reads the authority called name from dir, or makes it.
func loadAuthority(dir, name string) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
		if err := makeAuthority(certFile, keyFile, name); err != nil {
			return nil, fmt.Errorf("make authority %s: %w", name, err)
		}
	}
	loaded, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load authority %s: %w", name, err)
	}
	signer, ok := loaded.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("load authority %s: its key cannot sign", name)
	}
	return &authority{
		cert: loaded.Leaf, key: signer,
		pem: pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: loaded.Certificate[0]}),
	}, nil
}

func makeAuthority(certFile, keyFile, name string) error {
	template, err := newTemplate("sluice-playground-"+name, authorityLife)
	if err != nil {
		return err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign
	p, err := sign(template, nil)
	if err != nil {
		return err
	}
	return p.write(certFile, keyFile)
}

// issue makes a new key and a certificate for it.
func (a *authority) issue(s subject) (pair, error) {
	template, err := newTemplate(s.name, leafLife)
	if err != nil {
		return pair{}, err
	}
	template.Subject.Organization = s.groups
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if s.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range s.hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, h)
	}
	p, err := sign(template, a)
	if err != nil {
		return pair{}, fmt.Errorf("issue certificate for %s: %w", s.name, err)
	}
	return p, nil
}

func newTemplate(name string, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSlack),
		NotAfter:     now.Add(life),
	}, nil
}

// sign makes a key and signs its certificate, by itself if there is no authority.
func sign(template *x509.Certificate, a *authority) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make key: %w", err)
	}
	parent, signer := template, crypto.Signer(key)
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, fmt.Errorf("sign certificate: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{cert: pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}), key: keyPEM}, nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der}), nil
}

// write writes the key last: a directory with the key has the certificate too.
func (p pair) write(certFile, keyFile string) error {
	if err := writeAtomically(certFile, p.cert); err != nil {
		return err
	}
	return writeAtomically(keyFile, p.key)
}

// ensureTokenKey makes the key pair with which service account tokens are signed, unless it is there.
func ensureTokenKey(keyFile, publicFile string) error {
	if _, err := os.Stat(keyFile); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make service account key: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode service account key: %w", err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der})
	return pair{cert: public, key: keyPEM}.write(publicFile, keyFile)
}
