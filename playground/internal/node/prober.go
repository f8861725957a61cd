package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// prober asks a container how it is, on behalf of probes and preStop hooks.
type prober struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	client *http.Client
}

func newProber(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *prober {
	return &prober{dial: dial, client: &http.Client{
		CheckRedirect: sameHost,
		Transport: &http.Transport{
			DialContext:       dial,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as a kubelet probes
		},
	}}
}

// sameHost follows redirects as a kubelet does: within the host, a few times.
func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Hostname() != via[0].URL.Hostname() || len(via) > 10 {
		return http.ErrUseLastResponse
	}
	return nil
}

// probe asks once; output says what was wrong, as a kubelet words it.
func (b *prober) probe(ctx context.Context, ip string, ports []corev1.ContainerPort, h *corev1.ProbeHandler) (ok bool,
	output string,
) {
	var err error
	switch {
	case h.HTTPGet != nil:
		err = b.get(ctx, ip, ports, h.HTTPGet, "kube-probe/1.36")
	case h.TCPSocket != nil:
		err = b.connect(ctx, ip, ports, h.TCPSocket)
	case h.Exec != nil:
		err = errors.New("exec is not supported by the playground's nodes: built-in images have no commands; use httpGet " +
			"or tcpSocket")
	default:
		err = errors.New("this kind of probe is not supported by the playground's nodes: use httpGet or tcpSocket")
	}
	if err != nil {
		return false, err.Error()
	}
	return true, ""
}

func (b *prober) get(ctx context.Context, ip string, ports []corev1.ContainerPort, g *corev1.HTTPGetAction,
	agent string,
) error {
	r, err := httpRequest(ctx, ip, ports, g, agent)
	if err != nil {
		return err
	}
	res, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 10<<10))
	if res.StatusCode < 200 || res.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", res.StatusCode)
	}
	return nil
}

func httpRequest(ctx context.Context, ip string, ports []corev1.ContainerPort, g *corev1.HTTPGetAction,
	agent string,
) (*http.Request, error) {
	port, err := portOf(ports, g.Port)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(g.Path)
	if err != nil {
		u = &url.URL{Path: g.Path}
	}
	u.Scheme = "http"
	if g.Scheme == corev1.URISchemeHTTPS {
		u.Scheme = "https"
	}
	host := ip
	if g.Host != "" {
		host = g.Host
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(port))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "*/*")
	for _, h := range g.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			r.Host = h.Value
			continue
		}
		r.Header.Set(h.Name, h.Value)
	}
	return r, nil
}

func (b *prober) connect(ctx context.Context, ip string, ports []corev1.ContainerPort,
	s *corev1.TCPSocketAction,
) error {
	port, err := portOf(ports, s.Port)
	if err != nil {
		return err
	}
	host := ip
	if s.Host != "" {
		host = s.Host
	}
	conn, err := b.dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// portOf finds a port that a probe gives by number or by a containerPort's name.
func portOf(ports []corev1.ContainerPort, p intstr.IntOrString) (int, error) {
	if p.Type == intstr.Int {
		return p.IntValue(), nil
	}
	for _, c := range ports {
		if c.Name == p.StrVal {
			return int(c.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(p.StrVal); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("the container has no port named %q", p.StrVal)
}

// hookGet runs an httpGet hook.
func (b *prober) hookGet(ctx context.Context, ip string, ports []corev1.ContainerPort, g *corev1.HTTPGetAction) error {
	return b.get(ctx, ip, ports, g, "kube-lifecycle/1.36")
}
