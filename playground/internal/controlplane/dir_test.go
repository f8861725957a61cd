package controlplane

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const thisVersion = "v1.36.3"

func TestOpenDirectoryRefuses(t *testing.T) {
	const kept = `{"format":1,"kubernetes":"v1.36.3"}`
	for name, test := range map[string]struct {
		files     map[string]string
		ephemeral bool
		want      error
		message   []string
	}{
		"files of others": {
			files: map[string]string{"thesis.txt": "years of work"}, ephemeral: true,
			want: ErrForeign, message: []string{"thesis.txt", "choose another directory"},
		},
		"unreadable marker": {
			files: map[string]string{markerFile: "not JSON"},
			want:  ErrForeign, message: []string{markerFile, "remove this one"},
		},
		"newer Kubernetes": {
			files: map[string]string{markerFile: `{"format":1,"kubernetes":"v1.37.0"}`},
			want:  ErrVersion, message: []string{"v1.37.0", thisVersion, "remove this one"},
		},
		"older Kubernetes": {
			files: map[string]string{markerFile: `{"format":1,"kubernetes":"v1.35.9"}`},
			want:  ErrVersion, message: []string{"v1.35.9", thisVersion},
		},
		"no Kubernetes version": {
			files: map[string]string{markerFile: `{"format":1}`},
			want:  ErrVersion, message: []string{"remove the directory"},
		},
		"other format": {
			files: map[string]string{markerFile: `{"format":9,"kubernetes":"v1.36.3"}`},
			want:  ErrVersion, message: []string{"format 9", "writes 1"},
		},
		"kept cluster asked to be ephemeral": {
			files: map[string]string{markerFile: kept}, ephemeral: true,
			want: ErrKept, message: []string{"would wipe", "choose another directory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, test.files)
			_, err := openDirectory(dir, test.ephemeral, thisVersion)
			if !errors.Is(err, test.want) {
				t.Fatalf("got error %v, want %v", err, test.want)
			}
			for _, part := range append(test.message, dir) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %q", err, part)
				}
			}
			for file, content := range test.files {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != content {
					t.Errorf("%s was touched: %q, %v", file, got, err)
				}
			}
		})
	}
}

func TestOpenDirectoryContinuesAPatchRelease(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{markerFile: `{"format":1,"kubernetes":"v1.36.0","api":"127.0.0.1:6443"}`, "etcd": "data"})
	d := mustOpen(t, dir, false)
	if d.marker.API != "127.0.0.1:6443" || d.marker.Kubernetes != thisVersion {
		t.Errorf("marker is %+v, want the old address and the new version", d.marker)
	}
	if _, err := os.Stat(filepath.Join(dir, "etcd")); err != nil {
		t.Errorf("data is gone: %v", err)
	}
}

// What an ephemeral playground left when it was killed was never forced to the disk: it is not continued.
func TestOpenDirectoryWipesEphemeralRemains(t *testing.T) {
	for _, ephemeral := range []bool{true, false} {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{markerFile: `{"format":1,"kubernetes":"v1.36.3","ephemeral":true}`, "etcd": "data"})
		d := mustOpen(t, dir, ephemeral)
		if d.marker.Ephemeral != ephemeral {
			t.Errorf("marker says ephemeral %v, want %v", d.marker.Ephemeral, ephemeral)
		}
		if _, err := os.Stat(filepath.Join(dir, "etcd")); !os.IsNotExist(err) {
			t.Errorf("remains are still there (%v)", err)
		}
	}
}

func TestOpenDirectoryTwice(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir, false)
	if _, err := openDirectory(dir, false, thisVersion); !errors.Is(err, ErrInUse) {
		t.Fatalf("got error %v, want %v", err, ErrInUse)
	}
	if err := first.close(false); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, false)
}

func TestWriteAtomicallyLeavesNothingBehindOnFailure(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "kubeconfig")
	if err := os.MkdirAll(filepath.Join(target, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeAtomically(target, []byte("x")); err == nil {
		t.Error("got no error for a directory in the way")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("found %v (%v), want only what was there", entries, err)
	}
}

func mustOpen(t *testing.T, dir string, ephemeral bool) *directory {
	t.Helper()
	d, err := openDirectory(dir, ephemeral, thisVersion)
	if err != nil {
		t.Fatalf("open directory: %v", err)
	}
	t.Cleanup(func() { _ = d.lock.Close() })
	return d
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
