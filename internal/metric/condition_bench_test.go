package metric

import "testing"

// BenchmarkCompile compares a condition that is read again with one that is read for the first time.
func BenchmarkCompile(b *testing.B) {
	const text = "result.errors / result.total < 0.05"
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			if _, err := compile(ShapeAny, "successCondition", text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("anew", func(b *testing.B) {
		for b.Loop() {
			if _, err := compileAnew(ShapeAny, "successCondition", text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
