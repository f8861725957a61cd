package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
)

// shrink leaves out what is not needed for the same invariant to break: ever smaller runs of actions, then single
// ones. fails must say whether a story still does it.
func shrink(s Story, fails func(Story) bool) Story {
	for size := len(s.Actions) / 2; size >= 1; {
		smaller := false
		for at := 0; at+size <= len(s.Actions); {
			try := s
			try.Actions = append(append([]Action(nil), s.Actions[:at]...), s.Actions[at+size:]...)
			if fails(try) {
				s, smaller = try, true
				continue
			}
			at += size
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return s
}

// format writes a story as a file for testdata.
func (s Story) format(why string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", strings.SplitN(why, "\n", 2)[0])
	config, err := json.Marshal(s.Config)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(&b, "config %s\n", config)
	for _, a := range s.Actions {
		fmt.Fprintf(&b, "%d %s %d %d\n", a.At, a.Verb, a.N, a.M)
	}
	return b.String()
}

// parse reads a story.
func parse(text string) (Story, error) {
	var s Story
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		config, isConfig := strings.CutPrefix(line, "config ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case isConfig:
			if err := json.Unmarshal([]byte(config), &s.Config); err != nil {
				return s, fmt.Errorf("read config: %w", err)
			}
		default:
			var a Action
			if _, err := fmt.Sscanf(line, "%d %s %d %d", &a.At, &a.Verb, &a.N, &a.M); err != nil {
				return s, fmt.Errorf("read action %q: %w", line, err)
			}
			s.Actions = append(s.Actions, a)
		}
	}
	return s, nil
}
