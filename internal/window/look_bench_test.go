package window

import (
	"testing"
	"time"
)

// BenchmarkLook is a window as people write it; BenchmarkLookWorst the worst that a spec can hold.
func BenchmarkLook(b *testing.B) {
	windows := []Window{parse(b, "office", allow(berlin, weeklyOf("09:00", "17:00", "Mon", "Tue", "Wed", "Thu", "Fri")))}
	now := at("2026-01-09T17:00:00Z")
	for b.Loop() {
		Look(windows, now)
	}
}

func BenchmarkLookWorst(b *testing.B) {
	even, odd := allow(berlin), allow(newYork)
	for range maxPeriods {
		even.Allow, odd.Allow = append(even.Allow, cronOf("*/2 * * * *", time.Minute)), append(odd.Allow, cronOf("1-59/2 * * * *", time.Minute))
	}
	windows := []Window{parse(b, "even", even), parse(b, "odd", odd)}
	now := at("2026-01-09T17:00:00Z")
	for b.Loop() {
		Look(windows, now)
	}
}
