package controlplane

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The CRDs cannot be embedded from another module, so they are copies. This keeps them true: when the
// version in go.mod changes, run `go test ./internal/controlplane -run TestCRDsAreTheModules -update`.
func TestCRDsAreTheModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("find the Gateway API module: %v", err)
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "standard")
	entries, err := os.ReadDir("crds")
	if err != nil || len(entries) == 0 {
		t.Fatalf("list CRDs: %v, %v", entries, err)
	}
	for _, e := range entries {
		want := mustRead(t, filepath.Join(source, e.Name()))
		copied := filepath.Join("crds", e.Name())
		if *update {
			if err := os.WriteFile(copied, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !bytes.Equal(want, mustRead(t, copied)) {
			t.Errorf("%s differs from the module's: run this test with -update", copied)
		}
	}
}
