package release

import (
	"fmt"
	"reflect"
	"testing"
)

// TestWaysAreComplete: each row says all that a release asks of it.
func TestWaysAreComplete(t *testing.T) {
	for shape, way := range ways {
		row := reflect.ValueOf(*way)
		for i := range row.NumField() {
			field, name := row.Field(i), row.Type().Field(i).Name
			switch {
			case field.Kind() == reflect.Slice && field.Len() == 0:
				t.Errorf("%+v: no gate in %s", shape, name)
			case field.Kind() == reflect.Func && field.IsNil():
				t.Errorf("%+v: %s is not there", shape, name)
			}
		}
	}
}

// TestEveryGateIsReached: there is no gate in a row that a release never comes to.
func TestEveryGateIsReached(t *testing.T) {
	rows := map[Shape]*Way{}
	for shape, way := range ways {
		rows[shape] = way
	}
	t.Cleanup(func() { ways = rows })
	reached := map[string]bool{}
	ways = map[Shape]*Way{}
	for shape, way := range rows {
		ways[shape] = noting(shape, *way, reached)
	}
	bySelector := layered(specFor(switchPauses()...))
	bySelector.Divide = BySelector
	for _, s := range []Spec{layered(specFor(twoPauses()...), "Ingress"), layered(specFor(twoPauses()...)), bySelector} {
		for _, story := range wayStories {
			w := newWorld(s, 4)
			runUntil(t, w, ReasonPausedForPerson)
			story(t, w)
		}
	}
	for gate, is := range reached {
		if !is {
			t.Errorf("no release comes to gate %s", gate)
		}
	}
}

func twoPauses() []Step {
	pause := Pause{Kind: PauseManual}
	return []Step{{Weight: 50, Pause: pause}, {Weight: 70, Pause: pause}}
}

// switchPauses are the two steps of a release in which the Services change over.
func switchPauses() []Step {
	pause := Pause{Kind: PauseManual}
	return []Step{{Weight: 0, Share: 100, Pause: pause}, {Weight: 100, Pause: pause}}
}

// wayStories lead a release from its first pause through every list of a row.
var wayStories = []func(*testing.T, *world){
	func(t *testing.T, w *world) { // Straight through, with a pause in the completion, while more pods start.
		w.o.Workload.Replicas = 9
		w.say(PromoteFull)
		w.tick()
		w.say(PauseNow)
		w.tick()
		w.say(Resume)
		runUntil(t, w, string(Succeeded))
	},
	func(t *testing.T, w *world) { // Scaled to zero, and taken back.
		w.o.Workload.Replicas = 0
		for range 20 {
			w.tick()
		}
		w.o.Workload.Replicas = 4
		runUntil(t, w, ReasonPausedForPerson)
		w.say(Abort)
		runUntil(t, w, string(Aborted))
	},
	func(t *testing.T, w *world) { // The next step is held up.
		w.say(Promote)
		w.tick()
		w.say(PauseNow)
		runUntil(t, w, ReasonPausedByHand)
	},
}

// say has alice decide.
func (w *world) say(v Verb) {
	w.o.Decisions = append(w.o.Decisions, Decision{ID: string(v), Verb: v, User: "alice"})
}

// noting is a row that notes which of its gates are asked.
func noting(shape Shape, way Way, reached map[string]bool) *Way {
	for name, list := range map[string]*[]gate{
		"into": &way.into, "held": &way.held, "finish": &way.finish, "finishHeld": &way.finishHeld, "after": &way.after,
		"zero": &way.zero, "back": &way.back,
	} {
		gates := *list
		*list = nil
		for i, g := range gates {
			key := fmt.Sprintf("%s[%d] of %+v", name, i, shape)
			reached[key] = false
			*list = append(*list, func(p *pass) Reason {
				reached[key] = true
				return g(p)
			})
		}
	}
	return &way
}

// TestSpecWithoutARow: it is refused before anything moves, and a release that has come as far is taken back with all
// that it has changed.
func TestSpecWithoutARow(t *testing.T) {
	w := newWorld(specFor(twoPauses()...), 4)
	runUntil(t, w, ReasonPausedForPerson)
	w.spec.Divide = "moon"
	if out := w.tick(); out.Reason.Code != ReasonSpecInvalid || len(out.Actions) > 0 {
		t.Fatalf("%s", w.describe(out))
	}
	w.say(Abort)
	runUntil(t, w, string(Aborted))
	s := w.o.Services[0]
	if s.Held || s.Selects != SelectsAll || s.CanaryExists || w.o.Layers[0].Routed || w.o.Canary.Exists {
		t.Errorf("left behind: %s", w.describeWorld())
	}
}
