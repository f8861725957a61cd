package clock

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world has the three clocks, each off by as much as a test likes, and the Clock that is made of them.
type world struct {
	passed          time.Duration
	machine, server time.Duration
	told            []string
	*Clock
}

func newWorld() *world {
	w := &world{}
	w.Clock = New(
		func() time.Time { return noon.Add(w.passed + w.machine) },
		func() time.Duration { return w.passed },
		func(what string, _ time.Duration) { w.told = append(w.told, what) },
	)
	return w
}

// asks has a request answered by a server whose clock is so far off.
func (w *world) asks(server, there, back time.Duration) {
	sent := w.passed
	w.passed += there
	date := noon.Add(w.passed + server).Truncate(time.Second)
	w.passed += back
	w.Observe(date, sent)
}

// off is how far Now is ahead of the time that has really passed since noon.
func (w *world) off() time.Duration { return w.Now().Sub(noon) - w.passed }

// goOn has the time pass with a request every other second, as the renewal of a lease is.
func (w *world) goOn(d time.Duration) {
	for end := w.passed + d; w.passed < end; {
		w.passed += 2*time.Second + 37*time.Millisecond
		w.asks(w.server, time.Millisecond, time.Millisecond)
	}
}

func TestStart(t *testing.T) {
	for name, tt := range map[string]struct {
		machine, server, passed, trip time.Duration
		want                          time.Duration
		told                          []string
	}{
		"both agree":                          {passed: 300 * time.Millisecond, want: 0},
		"within what a Date cuts off":         {machine: -200 * time.Millisecond, passed: 900 * time.Millisecond, want: -200 * time.Millisecond},
		"within the round trip":               {machine: 4 * time.Second, trip: 10 * time.Second, want: 4 * time.Second},
		"machine an hour ahead":               {machine: time.Hour, told: []string{MachineOff}},
		"machine an hour behind":              {machine: -time.Hour, told: []string{MachineOff}},
		"machine a year behind":               {machine: -365 * 24 * time.Hour, told: []string{MachineOff}},
		"three seconds ahead: not to be told": {machine: 3 * time.Second},
		"the server's is the one that counts": {server: -time.Hour, want: -time.Hour, told: []string{MachineOff}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.machine, w.passed = tt.machine, tt.passed
			if got := w.off(); got != tt.machine {
				t.Errorf("before any response off by %v, not as this machine's clock", got)
			}
			w.asks(tt.server, tt.trip/2, tt.trip/2)
			if got := w.off(); (got - tt.want).Abs() > tt.trip {
				t.Errorf("off by %v, want %v", got, tt.want)
			}
			if !slices.Equal(w.told, tt.told) {
				t.Errorf("told %q, want %q", w.told, tt.told)
			}
		})
	}
}

// TestBehind: what a Date cannot tell is no disagreement, nor that Now may have gone faster than the round trip.
func TestBehind(t *testing.T) {
	for name, tt := range map[string]struct{ now, trip, want time.Duration }{
		"the very Date":        {},
		"before it":            {now: -time.Millisecond, want: time.Millisecond},
		"before it, long trip": {now: -time.Millisecond, trip: time.Hour, want: time.Millisecond},
		"in its second":        {now: time.Second - 1},
		"after it":             {now: 3 * time.Second, want: -2 * time.Second},
		"in the round trip":    {now: 12 * time.Second, trip: 11 * time.Second},
		"at a faster pace":     {now: 13 * time.Second, trip: 11 * time.Second},
		"after the round trip": {now: 14 * time.Second, trip: 11 * time.Second, want: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := behind(noon, noon.Add(tt.now), tt.trip); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestSteps has the clocks set in the middle of an hour's wait.
func TestSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		step func(*world)
		// fast and slow are the most that the hour may differ by.
		fast, slow time.Duration
		told       []string
	}{
		"nothing":                      {step: func(*world) {}},
		"machine's clock forward":      {step: func(w *world) { w.machine += time.Hour }, told: []string{MachineOff}},
		"machine's clock back":         {step: func(w *world) { w.machine -= time.Hour }, told: []string{MachineOff}},
		"machine's clock by a year":    {step: func(w *world) { w.machine += 365 * 24 * time.Hour }, told: []string{MachineOff}},
		"API server's clock forward":   {step: func(w *world) { w.server += time.Hour }, fast: 2*time.Minute + 31*time.Second, told: []string{MachineOff, OwnOff}},
		"API server's clock back":      {step: func(w *world) { w.server -= time.Hour }, slow: 3*time.Minute + time.Second, told: []string{MachineOff, OwnOff}},
		"API server's by ten seconds":  {step: func(w *world) { w.server -= 10 * time.Second }, slow: 11 * time.Second, told: []string{MachineOff}},
		"one of three servers is off":  {step: (*world).deviates},
		"one of three is off by a day": {step: (*world).deviatesFar},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.goOn(10 * time.Second)
			from, began := w.Now(), w.passed
			w.goOn(30 * time.Minute)
			tt.step(w)
			for w.Now().Sub(from) < time.Hour {
				w.goOn(time.Second)
			}
			const look = 3 * time.Second
			if took := w.passed - began; took < time.Hour-tt.fast-look || took > time.Hour+tt.slow+look {
				t.Errorf("the hour took %v", took)
			}
			slices.Sort(tt.told)
			if slices.Sort(w.told); !slices.Equal(w.told, tt.told) {
				t.Errorf("told %q, want %q", w.told, tt.told)
			}
		})
	}
}

func (w *world) deviates()    { w.oneOfThree(time.Hour) }
func (w *world) deviatesFar() { w.oneOfThree(-24 * time.Hour) }

func (w *world) oneOfThree(off time.Duration) {
	for range 200 {
		w.asks(off, time.Millisecond, time.Millisecond)
		w.goOn(4 * time.Second)
	}
	if got := w.off(); got.Abs() > time.Second {
		panic("led astray by " + got.String())
	}
}

// TestFar has the Clock set at once, when it is sure.
func TestFar(t *testing.T) {
	for name, off := range map[string]time.Duration{"forward": 3 * time.Hour, "back": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.goOn(10 * time.Second)
			w.server, w.machine = off, off
			w.goOn(50 * time.Second)
			if got := w.off(); got.Abs() > 6*time.Second {
				t.Errorf("off by %v before it can be sure", got)
			}
			w.goOn(20 * time.Second)
			if got := w.off(); (got-off).Abs() > 2*time.Second || !slices.Equal(w.told, []string{OwnOff, Jumped}) && !slices.Equal(w.told, []string{Jumped}) {
				t.Errorf("off by %v, want %v; told %q", got, off, w.told)
			}
		})
	}
}

// TestComesToAgree: a disagreement that is small enough to go after is gone after eleven times its length, and told so.
func TestComesToAgree(t *testing.T) {
	for _, off := range []time.Duration{30 * time.Minute, -30 * time.Minute} {
		w := newWorld()
		w.goOn(10 * time.Second)
		w.server, w.machine = off, off
		w.goOn(30*time.Minute*Pace + 2*time.Minute)
		if got := w.off() - off; got.Abs() > 100*time.Millisecond {
			t.Errorf("%v off at the end", got)
		}
		if want := []string{OwnOff, OwnOn}; !slices.Equal(w.told, want) {
			t.Errorf("told %q, want %q", w.told, want)
		}
	}
}

// TestBound: whatever is done to the clocks, Now keeps its pace but for what is far off, and the machine's clock is never heard
// again after the start.
func TestBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, other := newWorld(), newWorld()
		w.machine = time.Duration(rapid.Int64Range(-2e13, 2e13).Draw(t, "machine"))
		other.machine = w.machine
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			before, passed, jumps := w.Now(), w.passed, count(w.told, Jumped)
			span := func(most time.Duration, what string) time.Duration {
				return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, what))
			}
			w.passed += span(5*time.Minute, "passes")
			if rapid.IntRange(0, 9).Draw(t, "set") == 0 && i > 0 {
				w.machine = time.Duration(rapid.Int64Range(-4e13, 4e13).Draw(t, "machine"))
				w.server = time.Duration(rapid.Int64Range(-2e13, 2e13).Draw(t, "server"))
			}
			there, back := span(3*time.Second, "there"), span(3*time.Second, "back")
			other.passed = w.passed
			w.asks(w.server, there, back)
			other.asks(w.server, there, back)
			if !w.Now().Equal(other.Now()) {
				t.Fatalf("this machine's clock matters: %s and %s", w.Now(), other.Now())
			}
			if i == 0 || count(w.told, Jumped) > jumps {
				if off := w.off() - w.server; off > there+back+time.Second || off < -there-back-time.Second {
					t.Fatalf("set %v from the API server's clock", off)
				}
				continue
			}
			spent, ours := w.passed-passed, w.Now().Sub(before)
			if ours < spent-spent/Pace-1 || ours > spent+spent/Pace+1 {
				t.Fatalf("%v passed in %v", ours, spent)
			}
		}
	})
}

func count(all []string, what string) (n int) {
	for _, s := range all {
		if s == what {
			n++
		}
	}
	return n
}

// TestHears has the Dates come by HTTP, several at once.
func TestHears(t *testing.T) {
	date := noon.Add(42 * time.Minute)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.Header()["Date"] = nil
		case "/nonsense":
			w.Header().Set("Date", "tomorrow")
		default:
			w.Header().Set("Date", date.Format(http.TimeFormat))
			w.WriteHeader(http.StatusNotFound) // An answer all the same.
		}
	}))
	t.Cleanup(server.Close)
	c := newWorld().Clock
	get := func(path string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		res, err := c.Wrap(http.DefaultTransport).RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
	}
	get("/none")
	get("/nonsense")
	if got := c.Now(); !got.Equal(noon) {
		t.Errorf("%s without a Date, want this machine's %s", got, noon)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { get("/"); c.Now() })
	}
	wg.Wait()
	if got := c.Now(); !got.Equal(date) {
		t.Errorf("%s, want the API server's %s", got, date)
	}
}

// TestMachine is on the clocks that there are.
func TestMachine(t *testing.T) {
	c := Machine(nil)
	c.Observe(time.Now().Add(time.Hour), 0)
	a := c.Now()
	if off := time.Until(a) - time.Hour; off.Abs() > time.Minute {
		t.Errorf("%v off", off)
	}
	if b := c.Now(); b.Before(a) {
		t.Errorf("goes back from %s to %s", a, b)
	}
}

func BenchmarkNow(b *testing.B) {
	c := Machine(nil)
	c.Observe(time.Now(), 0)
	for b.Loop() {
		c.Now()
	}
}

// TestCalendar: what goes by others' clocks steps with the API server's, which waits do not.
func TestCalendar(t *testing.T) {
	w := newWorld()
	if got := w.Calendar(); !got.Equal(noon) {
		t.Errorf("before any response: %v", got)
	}
	w.asks(0, 0, 0)
	w.server = time.Hour
	w.asks(w.server, 0, 0)
	w.passed += time.Minute
	if off := w.Calendar().Sub(noon) - w.passed; (off - time.Hour).Abs() > time.Second {
		t.Errorf("a step of an hour moves it by %v", off)
	}
	if w.off() > time.Minute/Pace {
		t.Errorf("a step of an hour moves Now by %v in a minute", w.off())
	}
}
