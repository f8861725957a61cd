package podtemplate

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a Diff, so that it has room in a status and in a message.
const (
	// MostChanges is the largest number of entries. The last one counts those that are left out.
	MostChanges = 16
	// LongestChange is the largest number of bytes of an entry.
	LongestChange = 256
	// longestValue is the largest number of bytes of a value that is shown.
	longestValue = 80
)

// Diff says in short lines what differs between two templates, such as "containers[web].image: shop:v1 -> shop:v2" or
// "containers[web].env[MODE] changed". Of images, resources, numbers and booleans the values are shown. Of all other
// texts, such as environment variables, they are not, since they may be secret. The spec comes first.
func Diff(before, after map[string]any) []string {
	var d differ
	d.compare("", before["spec"], after["spec"])
	d.compare("metadata", before["metadata"], after["metadata"])
	if more := len(d.lines) - MostChanges; more > 0 {
		d.lines = append(d.lines[:MostChanges-1:MostChanges-1], fmt.Sprintf("and %d more", more+1))
	}
	return d.lines
}

type differ struct{ lines []string }

func (d *differ) say(path, format string, args ...any) {
	line := printable(strings.TrimPrefix(path, ".")) + fmt.Sprintf(format, args...)
	if len(line) > LongestChange {
		line = strings.ToValidUTF8(line[:LongestChange-3], "") + "..."
	}
	d.lines = append(d.lines, line)
}

func (d *differ) compare(path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	a, b := children(before), children(after)
	switch {
	case before == nil:
		d.say(path, " added%s", shown(path, after, ": "))
	case after == nil:
		d.say(path, " removed%s", shown(path, before, ", was "))
	case a == nil || b == nil:
		d.leaf(path, before, after)
	default:
		for _, key := range union(a, b) {
			d.compare(path+key, a[key], b[key])
		}
	}
}

func (d *differ) leaf(path string, before, after any) {
	from, to := shown(path, before, ""), shown(path, after, "")
	if from == "" || to == "" {
		d.say(path, " changed")
		return
	}
	d.say(path, ": %s -> %s", from, to)
}

// children are the parts of a value by how a path names them: ".image", "[web]". A plain value has none.
func children(v any) map[string]any {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, child := range x {
			out[step(k)] = child
		}
		return out
	case []any:
		out := make(map[string]any, len(x))
		for i, child := range x {
			out[item(x, i)] = child
		}
		return out
	}
	return nil
}

func step(key string) string {
	if strings.ContainsAny(key, "./[]") {
		return "[" + key + "]"
	}
	return "." + key
}

// item names an element of a list: by its name where every element has one of its own, or else by its place.
func item(list []any, i int) string {
	names := map[string]bool{}
	for _, e := range list {
		m, _ := e.(map[string]any)
		name, _ := m["name"].(string)
		if name == "" || names[name] {
			return "[" + strconv.Itoa(i) + "]"
		}
		names[name] = true
	}
	m, _ := list[i].(map[string]any)
	name, _ := m["name"].(string)
	return "[" + name + "]"
}

func union(a, b map[string]any) []string {
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	return slices.Sorted(maps.Keys(keys))
}

// shown is a value after a word, or nothing where it is not to be shown.
func shown(path string, v any, word string) string {
	var text string
	switch x := v.(type) {
	case bool, int64, float64:
		text = fmt.Sprint(x)
	case string:
		if !strings.HasSuffix(path, ".image") && !strings.Contains(path, ".resources.") {
			return ""
		}
		text = printable(x)
	default:
		return ""
	}
	if len(text) > longestValue {
		text = strings.ToValidUTF8(text[:longestValue], "") + "..."
	}
	return word + text
}

// printable is a text that does nothing to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
