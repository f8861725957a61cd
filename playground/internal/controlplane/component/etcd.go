package component

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// Etcd's timing for a single member on the same machine: no one else can be elected, so the election
// need not wait a second for other candidates.
const (
	etcdTickMs     = 10
	etcdElectionMs = 100
	etcdQuotaBytes = 4 << 30
)

type etcdFlags struct {
	dataDir, listen       string
	certFile, keyFile, ca string
	unsafeNoFsync         bool
}

func runEtcd(args []string) int {
	f, err := parseEtcdFlags(args)
	if err != nil {
		return 2
	}
	if err := serveEtcd(f); err != nil {
		fmt.Fprintf(os.Stderr, "run etcd: %v\n", err)
		return 1
	}
	return 0
}

func parseEtcdFlags(args []string) (etcdFlags, error) {
	var f etcdFlags
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.Usage = func() {} // the complaint says enough, and would be lost above the list of flags
	fs.StringVar(&f.dataDir, "data-dir", "", "where the data is kept")
	fs.StringVar(&f.listen, "listen", "", "address for clients, host:port")
	fs.StringVar(&f.certFile, "cert-file", "", "serving certificate")
	fs.StringVar(&f.keyFile, "key-file", "", "its key")
	fs.StringVar(&f.ca, "trusted-ca-file", "", "authority that signs the clients' certificates")
	fs.BoolVar(&f.unsafeNoFsync, "unsafe-no-fsync", false, "do not force writes to the disk: faster, and lost with the "+
		"machine")
	return f, fs.Parse(args)
}

func serveEtcd(f etcdFlags) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	server, err := embed.StartEtcd(etcdConfig(f))
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	case <-server.Server.StopNotify():
		return fmt.Errorf("etcd stopped by itself")
	}
}

func etcdConfig(f etcdFlags) *embed.Config {
	c := embed.NewConfig()
	c.Name = "playground"
	c.Dir = f.dataDir
	c.UnsafeNoFsync = f.unsafeNoFsync
	c.TickMs, c.ElectionMs = etcdTickMs, etcdElectionMs
	c.QuotaBackendBytes = etcdQuotaBytes
	c.LogLevel = "warn"
	c.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration // the zero value warns of every request
	c.LogOutputs = []string{"stderr"}
	c.EnableGRPCGateway = false
	// There is no other member, so nothing listens for peers: the advertised address is only a name.
	c.ListenPeerUrls = nil
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	clients := url.URL{Scheme: "https", Host: f.listen}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{clients}, []url.URL{clients}
	c.ClientTLSInfo = transport.TLSInfo{
		CertFile: f.certFile, KeyFile: f.keyFile, TrustedCAFile: f.ca, ClientCertAuth: true,
	}
	return c
}
