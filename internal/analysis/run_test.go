package analysis

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// letters stand for measurements: s good, f bad, i inconclusive, e error.
var letters = map[rune]Phase{'s': Successful, 'f': Failed, 'i': Inconclusive, 'e': Error}

// measured takes measurements one interval apart.
func measured(m Metric, word string) Result {
	r := Result{Name: m.Name, Phase: Pending}
	for i, c := range word {
		r = r.Take(m, Measurement{At: began.Add(time.Duration(i) * m.Interval), Phase: letters[c], Message: string(c)})
	}
	return r
}

func TestTake(t *testing.T) {
	for name, tt := range map[string]struct {
		metric Metric
		word   string
		want   Phase
		says   string
	}{
		"nothing yet":                   {Metric{Interval: time.Minute}, "", Pending, ""},
		"one without interval":          {Metric{}, "s", Successful, "m was good in 1 of 1 measurement: s"},
		"goes on":                       {Metric{Interval: time.Minute}, "ssss", Running, "s"},
		"count reached":                 {Metric{Interval: time.Minute, Count: 3}, "sss", Successful, "3 of 3"},
		"errors do not count":           {Metric{Interval: time.Minute, Count: 3, ConsecutiveErrorLimit: 4}, "sese", Running, "e"},
		"one failure":                   {Metric{Interval: time.Minute}, "sf", Failed, "m failed once (0 borne): f"},
		"failures borne":                {Metric{Interval: time.Minute, Count: 4, FailureLimit: 2}, "fsfs", Successful, "2 of 4"},
		"failures not borne":            {Metric{Interval: time.Minute, FailureLimit: 2}, "fsfsf", Failed, "3 times (2 borne)"},
		"never good":                    {Metric{Interval: time.Minute, Count: 2, FailureLimit: 2}, "ff", Inconclusive, "never good in 2 measurements"},
		"inconclusive":                  {Metric{Interval: time.Minute}, "si", Inconclusive, "inconclusive once"},
		"errors in a row":               {Metric{Interval: time.Minute, ConsecutiveErrorLimit: 2}, "eeseee", Error, "3 times in a row (2 borne)"},
		"errors not in a row":           {Metric{Interval: time.Minute, ConsecutiveErrorLimit: 2}, "eesees", Running, ""},
		"good in a row":                 {Metric{Interval: time.Minute, ConsecutiveSuccessLimit: 3, FailureLimit: 9}, "ssfsss", Successful, "3 times in a row"},
		"ended takes none":              {Metric{}, "sf", Successful, "1 of 1"},
		"what is no phase is an error":  {Metric{}, "?", Error, "could not be measured once"},
		"an error alone is not success": {Metric{ConsecutiveErrorLimit: 4}, "e", Running, "e"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.metric.Name = "m"
			r := measured(tt.metric, tt.word)
			if r.Phase != tt.want || !strings.Contains(r.Message, tt.says) {
				t.Errorf("after %q: %s, %q; want %s, %q", tt.word, r.Phase, r.Message, tt.want, tt.says)
			}
		})
	}
}

func TestLook(t *testing.T) {
	open := Metric{Name: "open", Interval: time.Minute}
	twice := Metric{Name: "twice", Interval: time.Minute, Count: 2}
	dry := Metric{Name: "dry", Interval: time.Minute, Count: 2, DryRun: true}
	late := Metric{Name: "late", InitialDelay: 10 * time.Minute}
	for name, tt := range map[string]struct {
		metrics  []Metric
		words    []string
		now      time.Duration
		conclude bool
		want     Phase
		over     bool
		due      string
		wake     time.Duration
	}{
		"all are due at first":             {[]Metric{open, twice}, []string{"", ""}, 0, false, Running, false, "open twice", 0},
		"a delay is kept":                  {[]Metric{late}, []string{""}, time.Minute, false, Running, false, "", 10 * time.Minute},
		"an interval is kept":              {[]Metric{open}, []string{"s"}, 59 * time.Second, false, Running, false, "", time.Minute},
		"and then over":                    {[]Metric{open}, []string{"s"}, time.Minute, false, Running, false, "open", 0},
		"one goes on":                      {[]Metric{open, twice}, []string{"ss", "ss"}, time.Minute, false, Running, false, "", 2 * time.Minute},
		"concluded":                        {[]Metric{open, twice}, []string{"ss", "ss"}, time.Minute, true, Successful, true, "", 0},
		"a count is kept when concluded":   {[]Metric{open, twice}, []string{"ss", "s"}, time.Minute, true, Running, false, "twice", 0},
		"concluded only after a look":      {[]Metric{open}, []string{""}, 0, true, Running, false, "open", 0},
		"an error is no look":              {[]Metric{{Name: "x", Interval: time.Minute, ConsecutiveErrorLimit: 4}}, []string{"e"}, time.Minute, true, Running, false, "x", 0},
		"bad ends all":                     {[]Metric{open, twice}, []string{"s", "f"}, time.Minute, false, Failed, true, "", 0},
		"unclear goes on for a worse one":  {[]Metric{open, twice}, []string{"s", "i"}, time.Minute, false, Inconclusive, false, "open", 0},
		"a worse one comes":                {[]Metric{open, twice}, []string{"f", "i"}, time.Minute, false, Failed, true, "", 0},
		"a dry run does not fail":          {[]Metric{twice, dry}, []string{"ss", "f"}, time.Minute, false, Successful, true, "", 0},
		"a dry run does not hold up":       {[]Metric{twice, dry}, []string{"ss", "s"}, time.Minute, false, Successful, true, "", 0},
		"dry runs alone are made in full":  {[]Metric{dry}, []string{"s"}, time.Minute, false, Running, false, "dry", 0},
		"an error is tried again after 10": {[]Metric{{Name: "x", ConsecutiveErrorLimit: 4}}, []string{"e"}, 9 * time.Second, false, Running, false, "", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var results []Result
			for i, m := range tt.metrics {
				if tt.words[i] != "" {
					results = append(results, measured(m, tt.words[i]))
				}
			}
			p := Look(tt.metrics, results, began, began.Add(tt.now), tt.conclude)
			wake := time.Duration(0)
			if !p.Wake.IsZero() {
				wake = p.Wake.Sub(began)
			}
			if p.Phase != tt.want || p.Over != tt.over || strings.Join(p.Due, " ") != tt.due || wake != tt.wake || p.Message == "" {
				t.Errorf("%s over=%t due=%v wake=%s %q; want %s over=%t due=%s wake=%s", p.Phase, p.Over, p.Due, wake, p.Message, tt.want, tt.over, tt.due, tt.wake)
			}
		})
	}
}

// TestNothingIsTakenForSuccess: a run that succeeds has at least one good measurement of each metric that counts, and
// no limit is passed.
func TestNothingIsTakenForSuccess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var metrics []Metric
		var results []Result
		for i := range rapid.IntRange(1, 4).Draw(t, "metrics") {
			m := Metric{
				Name: string(rune('a' + i)), Interval: time.Minute, Count: rapid.IntRange(0, 4).Draw(t, "count"),
				FailureLimit: rapid.IntRange(0, 2).Draw(t, "failures"), InconclusiveLimit: rapid.IntRange(0, 2).Draw(t, "inconclusive"),
				ConsecutiveErrorLimit: rapid.IntRange(0, 2).Draw(t, "errors"), DryRun: rapid.Bool().Draw(t, "dry"),
			}
			metrics = append(metrics, m)
			results = append(results, measured(m, rapid.StringOfN(rapid.RuneFrom([]rune("sfie?")), 0, 8, -1).Draw(t, "word")))
		}
		p := Look(metrics, results, began, began.Add(time.Hour), rapid.Bool().Draw(t, "conclude"))
		if p.Over && len(p.Due) > 0 {
			t.Fatalf("over, and %v due", p.Due)
		}
		if p.Phase != Successful {
			return
		}
		for i, m := range metrics {
			if r := p.Results[i]; !m.DryRun && (r.Successful == 0 || r.Failed > m.FailureLimit || r.Phase != Successful) {
				t.Fatalf("a success with %+v of %+v", r, m)
			}
		}
	})
}

// TestFaultC6NoDataIsWaitedFor: an answer without data counts for nothing while it is waited for, and is an error afterwards.
func TestFaultC6NoDataIsWaitedFor(t *testing.T) {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := Metric{Name: "rate", Interval: 10 * time.Second, Count: 1, ConsecutiveErrorLimit: 1, WaitForData: time.Minute}
	r := Result{Name: m.Name}
	at := started
	for range 20 {
		phase := Error
		if m.WaitsForData(started, at) {
			phase = Pending
		}
		r = r.Take(m, Measurement{At: at, Phase: phase, Message: "no data"})
		if r.Phase.Ended() {
			break
		}
		if got := Look([]Metric{m}, []Result{r}, started, at, false).Wake; !got.Equal(at.Add(m.Interval)) {
			t.Fatalf("looks again at %s after %s", got, at)
		}
		at = at.Add(m.Interval)
	}
	if r.Phase != Error || at.Sub(started) != 70*time.Second || r.Errors != 2 {
		t.Errorf("%s after %s with %d errors", r.Phase, at.Sub(started), r.Errors)
	}
	if got := (Result{Name: m.Name}).Take(m, Measurement{At: started, Phase: Pending}).Take(m, Measurement{At: at, Phase: Successful}); got.Phase != Successful {
		t.Errorf("with data at last: %s", got.Phase)
	}
}
