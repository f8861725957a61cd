package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestDocs keeps docs/cli.md what the commands say of themselves. `go test ./internal/cli -run TestDocs -update` writes it.
func TestDocs(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "cli.md")
	root := newRoot(testOptions([]string{"sluice"}))
	root.InitDefaultCompletionCmd()
	var b strings.Builder
	fmt.Fprintf(&b, "# The command line\n\n<!-- Written by the test of internal/cli; do not edit. -->\n\n%s\n", docText(root.Long))
	b.WriteString("\n## Flags of every command\n\nThey are kubectl's.\n\n")
	docFlags(&b, root.PersistentFlags())
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == g.ID {
				docCommand(&b, c)
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("docs/cli.md is not up to date; write it with -update (- file, + commands):\n%s", diff)
	}
}

func docCommand(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n### sluice %s\n\n```\n%s\n```\n\n", c.Name(), c.UseLine())
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	b.WriteString(docText(text) + "\n")
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	if c.LocalFlags().HasAvailableFlags() {
		b.WriteString("\n")
		docFlags(b, c.LocalFlags())
	}
}

// docText sets the list of exit codes as a code block.
func docText(s string) string {
	return strings.ReplaceAll(s, exitHelp, "```\n"+exitHelp+"\n```")
}

func docFlags(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | default | meaning |\n| --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value := f.DefValue
		if value == "[]" {
			value = ""
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, value, strings.ReplaceAll(f.Usage, "|", `\|`))
	})
}
