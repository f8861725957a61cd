package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/cli/lint"
)

func newLint(e *env) *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "lint -f FILE",
		Short: "Check manifests without a cluster, as strictly as the API server and Sluice would",
		Long: `Check manifests without a cluster: by the schema and the rules with which the API server checks them, and by
Sluice's own. Unknown fields are errors, since a misspelt pause would be no pause. Analysis templates are looked into: what
a Rollout has measured is checked with those in the files, and those that are not among them may be in the cluster. Other
kinds than Sluice's are skipped. FILE is a file, a directory, or - for standard input.`,
		Example: `  sluice lint -f rollout.yaml
  kustomize build . | sluice lint -f -`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return fmt.Errorf("say what to check: `%s -f FILE`", c.CommandPath())
			}
			return runLint(e, files)
		},
	}
	bindFiles(c, &files)
	return c
}

func bindFiles(c *cobra.Command, files *[]string) {
	c.Flags().StringSliceVarP(files, "filename", "f", nil, "File or directory with manifests, or - for standard input; "+
		"may be repeated")
	// It fails only for a flag that is not declared.
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json")
}

func runLint(e *env, files []string) error {
	r, err := e.read(files)
	if err != nil {
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintln(e.out, safeLines(fmt.Sprint(p)))
	}
	if len(r.Problems) > 0 {
		return no("%s", count(len(r.Problems), "problem"))
	}
	if r.Checked == 0 { // In CI a wrong path must not pass for manifests without problems.
		return fmt.Errorf("there is no object of Sluice's (sluice.dev) in %s", strings.Join(files, ", "))
	}
	for _, n := range r.Notes {
		fmt.Fprintln(e.out, safeLines("note: "+n))
	}
	_, err = fmt.Fprint(e.out, safef("%s checked, no problems\n", count(r.Checked, "object")))
	return err
}

// read checks all files together, since a template or a Deployment may be in another file than its Rollout. The error
// is for what cannot be read at all; what is wrong in a manifest stands in the report.
func (e *env) read(files []string) (*lint.Report, error) {
	r := &lint.Report{Layers: e.layers}
	for _, f := range files {
		if f == "-" {
			data, err := io.ReadAll(e.in)
			if err != nil {
				return nil, fmt.Errorf("read standard input: %w", err)
			}
			if err := r.Add("-", data); err != nil {
				return nil, err
			}
			continue
		}
		if err := addPath(r, f); err != nil {
			return nil, err
		}
	}
	r.Finish()
	return r, nil
}

func addPath(r *lint.Report, name string) error {
	paths := []string{name}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("-f %s: %w", name, err)
	}
	if info.IsDir() {
		if paths, err = manifests(name); err != nil {
			return err
		}
	}
	for _, p := range paths {
		data, err := os.ReadFile(p) //nolint:gosec // The user named the file.
		if err != nil {
			return fmt.Errorf("-f %s: %w", name, err)
		}
		if err := r.Add(p, data); err != nil {
			return err
		}
	}
	return nil
}

// manifests of a directory, not of those in it, as kubectl reads them.
func manifests(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("-f %s: %w", dir, err)
	}
	var out []string
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) {
			out = append(out, filepath.Join(dir, entry.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("-f %s: there is no .yaml, .yml or .json file in it", dir)
	}
	return out, nil
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
