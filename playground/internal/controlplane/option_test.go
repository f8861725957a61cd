package controlplane

import (
	"errors"
	"net"
	"strings"
	"testing"
)

func TestOptionsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no directory":      {Options{}, "no directory"},
		"address of others": {Options{Dir: "x", Listen: "0.0.0.0:6443"}, "loopback"},
		"name as address":   {Options{Dir: "x", Listen: "example.com:6443"}, "loopback"},
		"address, no port":  {Options{Dir: "x", Listen: "127.0.0.1"}, "host:port"},
		"unknown component": {Options{Dir: "x", ExtraArgs: map[string][]string{"kubelet": nil}}, "kubelet"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := test.options.complete(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestAPIAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	if _, err := apiAddress(taken, ""); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), taken) {
		t.Errorf("told a taken address: got error %v, want ErrTaken that names %s", err, taken)
	}
	free, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ told, last, want, not string }{
		"told":          {told: free, want: free},
		"told any port": {told: "127.0.0.1:0", not: "127.0.0.1:0"},
		"as last time":  {last: free, want: free},
		"last is taken": {last: taken, not: taken},
	} {
		got, err := apiAddress(test.told, test.last)
		if err != nil || test.want != "" && got != test.want || got == test.not {
			t.Errorf("%s: got %q, %v; want %q, not %q", name, got, err, test.want, test.not)
		}
	}
}
