package sim

import "github.com/sluice-dev/sluice/internal/release"

// Fumble is how hands can be wrong; the zero value is right. Mutants use it.
type Fumble struct {
	// StaleStart: a new process begins with caches that are so many events old.
	StaleStart int
	// NoRecheck: lost events are never made up for.
	NoRecheck bool
	// StaleCache: decides before the events of its own writes have come.
	StaleCache bool
	// MemoryLast: acts before it remembers.
	MemoryLast bool
	// HoldLast: changes a Service before its original is kept.
	HoldLast bool
	// Unconditional: writes whatever the object has become.
	Unconditional bool
	// Restless: writes routes again that are as they should be.
	Restless bool
	// BareHandOver: hands over while the old ReplicaSet still looks complete.
	BareHandOver bool
	// NoOutbox: answers are not kept with the memory that they took effect in.
	NoOutbox bool
	// Memory spoils what is remembered, From says which revision is stable.
	Memory func(*release.Memory)
	From   func(last Release) string
}
