package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
)

const (
	markerFile   = "playground.json"
	lockFile     = "lock"
	markerFormat = 1
	// lockPatience is how long the components of a playground that was killed may take to end.
	lockPatience = 5 * time.Second
	lockInterval = 20 * time.Millisecond
)

// Why a directory cannot be used; the errors of Start wrap one of these.
var (
	ErrForeign = errors.New("directory is not a playground's")
	ErrVersion = errors.New("directory was made by another version")
	ErrInUse   = errors.New("directory is in use")
	ErrKept    = errors.New("directory holds a kept cluster")
)

// marker is the file by which a playground knows its own directories, and what it remembers in them.
type marker struct {
	Format     int    `json:"format"`
	Kubernetes string `json:"kubernetes"`
	Ephemeral  bool   `json:"ephemeral,omitempty"`
	// API is the API server's address, kept so that copies of the kubeconfig stay good.
	API string `json:"api,omitempty"`
}

// directory is a playground's directory while this process holds its lock.
type directory struct {
	path   string
	lock   *os.File
	marker marker
}

// openDirectory makes or opens the directory, locks it and checks that its content can be continued.
func openDirectory(path string, ephemeral bool, kubernetes string) (*directory, error) {
	if err := checkOwned(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, lock: lock}
	if err := d.settle(ephemeral, kubernetes); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// checkOwned refuses a directory with content that no playground made, before anything is written to it.
func checkOwned(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	first := ""
	for _, e := range entries {
		switch e.Name() {
		case markerFile:
			return nil
		case lockFile:
		default:
			first = e.Name()
		}
	}
	if first == "" {
		return nil
	}
	return fmt.Errorf("%w: %s has no %s but holds other files, such as %q: choose another directory, or empty this one",
		ErrForeign, path, markerFile, first)
}

func lockDirectory(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := awaitLock(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := writeOwner(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// awaitLock waits only for components whose playground is gone; a playground that lives is told at once.
func awaitLock(f *os.File, path string) error {
	deadline := time.Now().Add(lockPatience)
	for {
		locked, err := tryLock(f)
		if err != nil {
			return fmt.Errorf("lock directory: %w", err)
		}
		if locked {
			return nil
		}
		owner := readOwner(f)
		if processLives(owner) || time.Now().After(deadline) {
			return fmt.Errorf("%w: a playground (process %d) runs on %s: stop it, or choose another directory", ErrInUse, owner,
				path)
		}
		time.Sleep(lockInterval)
	}
}

// settle reads the marker and decides whether to continue, to begin anew or to refuse.
func (d *directory) settle(ephemeral bool, kubernetes string) error {
	old, err := readMarker(d.path)
	if err != nil {
		return err
	}
	if old != nil && !old.Ephemeral {
		if ephemeral {
			return fmt.Errorf("%w: an ephemeral playground would wipe %s: choose another directory, or remove this one",
				ErrKept, d.path)
		}
		d.marker = *old
		return d.continueFrom(kubernetes)
	}
	if err := d.wipe(); err != nil {
		return err
	}
	d.marker = marker{Format: markerFormat, Kubernetes: kubernetes, Ephemeral: ephemeral}
	return d.save()
}

// continueFrom refuses data of another minor version: Kubernetes supports going up by one, with care,
// and never down, and a playground is quicker made anew.
func (d *directory) continueFrom(kubernetes string) error {
	m := d.marker
	if m.Format != markerFormat {
		return fmt.Errorf("%w: %s has format %d and this playground writes %d: choose another directory, or remove this one",
			ErrVersion, d.path, m.Format, markerFormat)
	}
	was, err := version.ParseSemantic(m.Kubernetes)
	if err != nil {
		return fmt.Errorf("%w: %s names Kubernetes version %q: remove the directory", ErrVersion, d.path, m.Kubernetes)
	}
	is, err := version.ParseSemantic(kubernetes)
	if err != nil {
		return fmt.Errorf("parse own Kubernetes version %q: %w", kubernetes, err)
	}
	if was.Major() != is.Major() || was.Minor() != is.Minor() {
		return fmt.Errorf("%w: %s holds Kubernetes %s and this playground runs %s: choose another directory, or remove "+
			"this one",
			ErrVersion, d.path, m.Kubernetes, kubernetes)
	}
	d.marker.Kubernetes = kubernetes
	return nil
}

// wipe removes everything but the lock, which is held.
func (d *directory) wipe() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.path, e.Name())); err != nil {
			return fmt.Errorf("wipe directory: %w", err)
		}
	}
	return nil
}

// close lets the directory go, and removes it if wanted.
func (d *directory) close(remove bool) error {
	var err error
	if remove {
		err = os.RemoveAll(d.path)
	}
	return errors.Join(err, d.lock.Close())
}

func (d *directory) file(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

func (d *directory) save() error {
	data, err := json.MarshalIndent(d.marker, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", markerFile, err)
	}
	return writeAtomically(d.file(markerFile), append(data, '\n'))
}

// readMarker returns nil if there is none.
func readMarker(dir string) (*marker, error) {
	path := filepath.Join(dir, markerFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", markerFile, err)
	}
	var m marker
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%w: %s cannot be understood (%w): choose another directory, or remove this one", ErrForeign,
			path, err)
	}
	return &m, nil
}

// writeAtomically lets a reader see the old content or the new, never a part.
func writeAtomically(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}

func writeOwner(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

func readOwner(f *os.File) int {
	data := make([]byte, 32)
	n, _ := f.ReadAt(data, 0)
	pid := 0
	_, _ = fmt.Sscanf(strings.TrimSpace(string(data[:n])), "%d", &pid)
	return pid
}
