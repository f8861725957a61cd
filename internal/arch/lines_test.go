package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// columns is how long a line of Go may be.
const columns = 120

// TestLineLength holds the product's Go to lines that fit beside each other on a screen. Markers of the API cannot be
// wrapped, and raw strings are texts as users have them. Tests may have tables whose rows are longer.
func TestLineLength(t *testing.T) {
	for _, room := range []string{"api", "cmd", "deploy", "internal"} {
		err := filepath.WalkDir(filepath.Join("../..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.HasPrefix(d.Name(), "zz_generated") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			raw := false
			for i, line := range strings.Split(string(source), "\n") {
				text := raw || strings.Contains(line, "`") || strings.HasPrefix(strings.TrimSpace(line), "// +")
				if strings.Count(line, "`")%2 == 1 {
					raw = !raw
				}
				if n := len([]rune(line)); n > columns && !text {
					t.Errorf("%s:%d: %d columns, want %d at most", path, i+1, n, columns)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
