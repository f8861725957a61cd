package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// safe is a text of others for one place on one line of a terminal: what would move the cursor, colour, hide or turn
// what stands beside it is shown as it would be written in Go, "\n" and "\x1b". Whoever may write a comment, an image's
// name or an annotation must not write lines that seem to be Sluice's.
func safe(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// clean says whether a text has nothing but what is seen. Letters, marks, numbers, signs and spaces of all languages
// are; control characters, what turns the direction of writing, what has no width and no text at all are not.
func clean(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0
}

// safeLines keeps the line breaks of a text of several lines, and has each line after the first stand further in, so
// that none can be taken for a line of Sluice's own.
func safeLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = safe(lines[i])
	}
	return strings.Join(lines, "\n  ")
}

// safef is a line of Sluice's own in which the texts of others are safe: the format is ours, and what it is given is
// not.
func safef(format string, args ...any) string {
	for i, a := range args {
		switch a := a.(type) {
		case painted: // Sluice's own colours about a text that is safe.
		case string:
			args[i] = safe(a)
		case error:
			args[i] = safe(a.Error())
		case fmt.Stringer:
			args[i] = safe(a.String())
		}
	}
	return fmt.Sprintf(format, args...)
}

// painted is a safe text in one of our colours.
type painted string
