package rollout

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// waits keeps how long each object has been in its present state, so that states which pass at once are not
// written. Nothing depends on it: a restart only tells of a wait a little later.
type waits struct {
	mu    sync.Mutex
	seen  map[types.UID]wait
	limit time.Duration
}

type wait struct {
	state string
	since time.Time
	told  bool
}

func newWaits(limit time.Duration) *waits { return &waits{seen: map[types.UID]wait{}, limit: limit} }

// lasts says whether a state that has not been told yet has lasted long enough to be.
func (w *waits) lasts(id types.UID, state string, told bool, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, known := w.seen[id]
	// Other words or numbers in the same state begin anew once the last were told. So a number that changes all the time
	// is written at most once in every limit.
	if !known || s.state != state || (s.told && !told) {
		s = wait{state: state, since: now}
	}
	s.told = told
	w.seen[id] = s
	return !told && !now.Before(s.since.Add(w.limit))
}

// due is when the state of id is to be told, zero if it has been.
func (w *waits) due(id types.UID) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, known := w.seen[id]; known && !s.told {
		return s.since.Add(w.limit)
	}
	return time.Time{}
}

// forget drops an object that has ended.
func (w *waits) forget(id types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.seen, id)
}

// troubles keeps what the API server said to a release's last refused write until one succeeds. A restart forgets it
// and finds it out again with the next try.
type troubles struct {
	mu   sync.Mutex
	said map[types.UID]string
}

func newTroubles() *troubles { return &troubles{said: map[types.UID]string{}} }

func (t *troubles) set(id types.UID, s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said[id] = s
}

func (t *troubles) clear(id types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.said, id)
}

func (t *troubles) of(id types.UID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said[id]
}

// sightings keeps since when something has been seen. A restart only sees it a little later.
type sightings struct {
	mu   sync.Mutex
	seen map[types.UID]time.Time
}

func newSightings() *sightings { return &sightings{seen: map[types.UID]time.Time{}} }

// since is when id was first seen, as far as it is seen now.
func (s *sightings) since(id types.UID, sees bool, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !sees {
		delete(s.seen, id)
		return now
	}
	if _, known := s.seen[id]; !known {
		s.seen[id] = now
	}
	return s.seen[id]
}

// forget drops what is gone.
func (s *sightings) forget(id types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, id)
}
