package sim

// Harm is what can befall the hands.
type Harm uint8

// The harms. The first seven befall one write; the others one watch.
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
)

var harmNames = []string{
	"nothing", "crash before", "crash after", "409 Conflict", "429 Too Many Requests",
	"500 Internal Server Error", "time-out after commit", "event dropped", "watch frozen",
}

// String names the harm.
func (h Harm) String() string { return harmNames[h] }

func (h Harm) refuses() bool { return h == Conflict || h == TooMany || h == ServerError }

// Fault is one harm: to the write with number N, or to event N of a kind's watch.
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
