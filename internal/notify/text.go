package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ellipsis ends what was cut.
const ellipsis = "…"

// Truncate cuts a text to so many bytes, between two characters, and shows that it was cut.
func Truncate(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := max(0, most-len(ellipsis))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	if most < len(ellipsis) {
		return ""
	}
	return text[:end] + ellipsis
}

// TruncateRunes cuts a text to so many characters.
func TruncateRunes(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(0, most-1)]) + ellipsis
}

// Clean takes out of a text what is no text: control characters but for line ends, marks that turn the direction of
// writing (by which a name can pretend to be another), and broken UTF-8.
func Clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069':
			return -1
		}
		return r
	}, text))
}

// Line is Clean, on one line.
func Line(text string) string { return strings.Join(strings.Fields(Clean(text)), " ") }

// Unmark breaks the marks by which chats address people, <@name> or <at id=all>, as nobody is to be called by the name
// of a user or a step: an invisible space keeps them from being read as marks.
func Unmark(text string) string { return strings.ReplaceAll(text, "<", "<\u200b") }

// Link is a message's link if it is one that can be shown: absolute, http or https.
func Link(text string) string {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || len(text) > 2000 {
		return ""
	}
	// What would end a link in the sinks' marks.
	return strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", "(", "%28", ")", "%29", " ", "%20").Replace(u.String())
}

// JSON writes a value as JSON, with <, > and & as they are.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Fit makes a body of at most so many bytes, by shortening the text in it.
func Fit(text string, limit int, body func(text string) any) ([]byte, error) {
	for {
		b, err := JSON(body(text))
		if err != nil || len(b) <= limit {
			return b, err
		}
		// Each byte of the text is at least one of the body.
		shorter := Truncate(text, len(text)-(len(b)-limit))
		if text == "" || len(shorter) >= len(text) {
			return nil, &Refusal{Service: "sluice", Reason: fmt.Sprintf("the message is longer than %d bytes without its text",
				limit)}
		}
		text = shorter
	}
}
