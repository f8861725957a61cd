package playground

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Kubectl runs the playground's own kubectl as the administrator and gives what it wrote to both outputs. Input
// is its standard input.
func (c *Cluster) Kubectl(t testing.TB, input string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary,
		append([]string{"kubectl", "--kubeconfig", c.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}

// MustKubectl is Kubectl for what must succeed.
func (c *Cluster) MustKubectl(t testing.TB, input string, args ...string) string {
	t.Helper()
	output, err := c.Kubectl(t, input, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// Eventually tries until there is no error, for a minute at most; then the test ends with the last error.
func Eventually(t testing.TB, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited for a minute until %s; last: %v", what, err)
		case <-tick.C:
		}
	}
}
