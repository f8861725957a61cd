package controlplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports are chosen below the range from which systems pick the local ports of outgoing connections, so
// that a port that is free now is not taken by someone's connection before the component listens on it.
const (
	firstPort    = 20000
	lastPort     = 32000
	portAttempts = 200
)

// ErrTaken says that another process listens on an address that was asked for.
var ErrTaken = errors.New("address is taken")

// freeAddress returns a loopback address on which nothing listens.
func freeAddress() (string, error) {
	var last error
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort) //nolint:gosec // no secret
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if last = CheckAddress(address); last == nil {
			return address, nil
		}
	}
	return "", fmt.Errorf("find a free port between %d and %d: %w", firstPort, lastPort, last)
}

// CheckAddress tells whether address can be listened on; ErrTaken is in the error if someone else does.
func CheckAddress(address string) error {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %w by another process", address, ErrTaken)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	return l.Close()
}

// apiAddress decides where the API server listens: where it was told, else where it last was, else anywhere.
func apiAddress(told, last string) (string, error) {
	if told != "" {
		if _, port, _ := net.SplitHostPort(told); port == "0" {
			return freeAddress()
		}
		if err := CheckAddress(told); err != nil {
			return "", fmt.Errorf("API server address %w: stop that process, or choose another address", err)
		}
		return told, nil
	}
	if last != "" && CheckAddress(last) == nil {
		return last, nil
	}
	return freeAddress()
}
