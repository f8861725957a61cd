package sim

import (
	"testing"
)

func TestQuick(t *testing.T) {
	n, b := 0, 0
	for _, s := range scenarios() {
		w := newWorld(s.Config)
		n++
		if v := s.playIn(w, Fault{}); v != nil {
			b++
			if b < 6 {
				t.Errorf("%s: %s\n%s", s.Name, v, s.transcript(Fault{}))
			} else {
				t.Errorf("%s: %s", s.Name, v)
			}
			continue
		}
		if testing.Verbose() && s.Config.Plan.Layers != nil && s.Config.Plan.Layers[0] == "ingress" {
			r, _ := w.release()
			t.Logf("%s tick %d: %d %s %s | %s", s.Name, w.Tick, r.Number, r.Memory.Phase, r.Memory.End, w.ending())
		}
	}
	t.Log(n, b)
}
