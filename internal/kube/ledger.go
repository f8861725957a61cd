package kube

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// ledger remembers, for each rollout, the newest version of every object that we wrote and that the cache has
// not shown yet. client-go's consistency primitives (KEP-5647) do the same per informer; controller-runtime's
// read-your-writes client waits for all writes of a kind and does not cover unstructured objects, while a slow
// watch of one object must delay its own release only.
type ledger struct {
	mu      sync.Mutex
	entries map[types.NamespacedName]map[ref]written
	now     func() time.Time
}

// ref names one object.
type ref struct {
	gvk  schema.GroupVersionKind
	name types.NamespacedName
}

// written is what we last did to an object.
type written struct {
	// version that our write gave it, or unknown when the write's answer never came; for a deletion the UID that
	// must be gone, or on its way.
	version string
	deleted types.UID
	at      time.Time
	// untyped: the cache holds this kind as unstructured objects.
	untyped bool
}

// unknown is the version of an object whose last write may or may not have been done.
const unknown = "?"

func newLedger(now func() time.Time) *ledger {
	return &ledger{entries: map[types.NamespacedName]map[ref]written{}, now: now}
}

func (l *ledger) record(owner types.NamespacedName, r ref, w written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.at = l.now()
	if l.entries[owner] == nil {
		l.entries[owner] = map[ref]written{}
	}
	l.entries[owner][r] = w
}

// outstanding returns what the cache has to be checked for.
func (l *ledger) outstanding(owner types.NamespacedName) map[ref]written {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[ref]written, len(l.entries[owner]))
	for r, w := range l.entries[owner] {
		out[r] = w
	}
	return out
}

// settle forgets an entry, unless it has been written again meanwhile.
func (l *ledger) settle(owner types.NamespacedName, r ref, w written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[owner][r] == w {
		delete(l.entries[owner], r)
	}
	if len(l.entries[owner]) == 0 {
		delete(l.entries, owner)
	}
}

// shown is what a reader shows of an object; it is zero where the object is absent.
type shown struct {
	uid     types.UID
	version string
	// going: it is being removed, and waits for finalizers.
	going bool
}

// seen says whether a cache that shows this is at least as new as w.
func (w written) seen(now shown) bool {
	if w.deleted != "" {
		return now.uid != w.deleted || now.going
	}
	if now.version == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(now.version, w.version)
	return err != nil || order >= 0
}
