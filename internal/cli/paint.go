package cli

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// colour of a piece of text.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// painter colours text, or leaves it as it is where nobody would see colours.
type painter struct{ on bool }

// in makes a text safe and colours it. The two belong together: safe would show the codes of our own colours as text.
func (p painter) in(c colour, s string) painted {
	s = safe(s)
	if !p.on || c == plain || s == "" {
		return painted(s)
	}
	return painted("\x1b[" + string(c) + "m" + s + "\x1b[0m")
}

// colours says whether to use them: on a terminal, unless NO_COLOR is set (see no-color.org) or the terminal is dumb.
// A file or a pipe gets none, so that grep and diff see the bare text.
func colours(w io.Writer, getenv func(string) string) bool {
	return isTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalHeight tells the height, in lines, of the terminal that w is, and whether it is one.
func terminalHeight(w io.Writer) func() (int, bool) {
	return func() (int, bool) {
		if !isTerminal(w) {
			return 0, false
		}
		_, height, err := term.GetSize(int(w.(*os.File).Fd()))
		return height, err == nil
	}
}

// cell is a piece of text in a column.
type cell struct {
	text   string
	colour colour
}

// table lines cells up in columns; colours do not count in the width.
type table struct {
	indent string
	gap    int
	rows   [][]cell
}

// row adds a row of texts, whoever wrote them. They are made safe here and not when they are painted, since a text may
// grow by that, and the columns are as wide as what is shown.
func (t *table) row(cells ...cell) {
	for i := range cells {
		cells[i].text = safe(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(b *strings.Builder, p painter) {
	widths := t.widths()
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(t.indent)
		for i, c := range row {
			line.WriteString(string(p.in(c.colour, c.text)))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+t.gap))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func (t *table) widths() []int {
	var out []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(out) {
				out = append(out, 0)
			}
			out[i] = max(out[i], utf8.RuneCountInString(c.text))
		}
	}
	// A column that is empty in every row takes no gap either.
	for i, w := range out {
		if w == 0 {
			out[i] = -t.gap
		}
	}
	return out
}
