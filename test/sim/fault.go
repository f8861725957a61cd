package sim

// Harm is what can befall the hands.
type Harm uint8

// The harms. The first seven befall one write, two one watch; the others set a clock an hour, some with a restart.
const (
	NoHarm Harm = iota
	CrashBefore
	CrashAfter
	Conflict
	TooMany
	ServerError
	LateAnswer
	DropEvent
	FreezeKind
	MachineAhead
	MachineBehind
	MachineAheadAnew
	MachineBehindAnew
	ServerAhead
	ServerBehind
)

var harmNames = []string{
	"nothing", "crash before", "crash after", "409 Conflict", "429 Too Many Requests",
	"500 Internal Server Error", "time-out after commit", "event dropped", "watch frozen",
	"clock forward", "clock back", "clock forward, restart", "clock back, restart", "API server's clock forward",
	"API server's clock back",
}

// String names the harm.
func (h Harm) String() string { return harmNames[h] }

// watches says whether it befalls a watch.
func (f Fault) watches() bool { return f.Do == DropEvent || f.Do == FreezeKind }

func (h Harm) refuses() bool { return h == Conflict || h == TooMany || h == ServerError }

// Fault is one harm: to the write with number N, to event N of a kind's watch, or to a clock in tick N.
type Fault struct {
	Do   Harm
	Kind Kind
	N    int
}

const (
	crashTicks  = 3
	freezeTicks = 25
)

// harm is what befalls the write with that number.
func (w *World) harm(n int) Harm {
	if w.Fault.Do != NoHarm && w.Fault.Do < DropEvent && w.Fault.N == n {
		w.disturb(recheck)
		return w.Fault.Do
	}
	return NoHarm
}
