package notify

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "…"},
		{"abcdef", 5, "ab…"},
		{"发布发布", 12, "发布发布"},
		{"发布发布", 11, "发布…"},
		{"发布", 5, "…"},
		{"abc", 2, ""},
		{"", 0, ""},
	} {
		if got := Truncate(c.in, c.most); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.in, c.most, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in, most := rapid.String().Draw(t, "in"), rapid.IntRange(0, 40).Draw(t, "most")
		got, runes := Truncate(in, most), TruncateRunes(in, most)
		if len(got) > most || !utf8.ValidString(got) || !strings.HasPrefix(in, strings.TrimSuffix(got, ellipsis)) {
			t.Fatalf("%q to %d bytes: %q", in, most, got)
		}
		if most > 0 && utf8.RuneCountInString(runes) > most {
			t.Fatalf("%q to %d characters: %q", in, most, runes)
		}
	})
}

// TestFit: a body fits whatever its text, and no more of the text is lost than it takes.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := Clean(rapid.StringN(0, 400, -1).Draw(t, "text"))
		limit := rapid.IntRange(20, 200).Draw(t, "limit")
		var kept string
		body, err := Fit(text, limit, func(text string) any { kept = text; return map[string]string{"t": text} })
		if err != nil || len(body) > limit {
			t.Fatalf("%d bytes of %d: %v", len(body), limit, err)
		}
		// A byte of a text is two bytes of JSON at the most, but for a few rare characters of six.
		if kept != text && len(kept) < (limit-8)/6-2*len(ellipsis) {
			t.Fatalf("%q is left of %q within %d", kept, text, limit)
		}
	})
	_, err := Fit("text", 3, func(text string) any { return "much too long " + text })
	if again, _ := Temporary(err); err == nil || again {
		t.Errorf("got %v", err)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		" a\r\nb\tc\x00\x1b[31m ":     "a\nb c[31m",
		"evil\u202etxt.exe\u2066":     "eviltxt.exe",
		"\xff ok \u2028 x":            "\uFFFD ok   x",
		"日本語 🚢 ümlaut":                "日本語 🚢 ümlaut",
		"line\u0085end\u009bcontrols": "lineendcontrols",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Line("a\n\n b\t c"); got != "a b c" {
		t.Errorf("%q", got)
	}
}

func TestLink(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example.com/x?y=1&z=2":                      "https://a.example.com/x?y=1&z=2",
		"http://a.example.com/x) [evil](https://b.example.com": "http://a.example.com/x%29%20%5Bevil%5D%28https://b.example.com",
		"https://a.example.com/x|y>z":                          "https://a.example.com/x%7Cy%3Ez",
		"javascript:alert(1)":                                  "",
		"//a.example.com":                                      "",
		"https:///x":                                           "",
		"":                                                     "",
		"https://a.example.com/\nBcc: x":                       "",
		"https://a.example.com/" + strings.Repeat("x", 2000):       "",
		"https://a.example.com/%zz":                                "",
		"HTTPS://a.example.com/" + strings.Repeat("é", 3) + "?q=é": "https://a.example.com/%C3%A9%C3%A9%C3%A9?q=é",
	} {
		if got := Link(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestFacts(t *testing.T) {
	m := Message{Namespace: "shop", Rollout: "web", Release: "web-7", Who: "a\nb", Until: time.Unix(0, 0), Fields: map[string]string{"b": "2", "a": strings.Repeat("x", 999), "c": ""}}
	want := []Fact{
		{"Rollout", "shop/web"},
		{"Release", "web-7"},
		{"Who can end the wait", "a b"},
		{"Until", "1970-01-01 00:00 UTC"},
		{"a", strings.Repeat("x", 253) + "…"},
		{"b", "2"},
	}
	if diff := cmp.Diff(want, m.Facts()); diff != "" {
		t.Error(diff)
	}
}

func TestTemporary(t *testing.T) {
	wrapped := errors.Join(errors.New("x"), &Refusal{Temporary: true, RetryAfter: time.Second})
	if again, wait := Temporary(wrapped); !again || wait != time.Second {
		t.Errorf("%v, %s", again, wait)
	}
	if again, _ := Temporary(&Refusal{}); again {
		t.Error("a refusal for good is tried again")
	}
	if again, _ := Temporary(errors.New("broken pipe")); !again {
		t.Error("a broken connection is not tried again")
	}
}
