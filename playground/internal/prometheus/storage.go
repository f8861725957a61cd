package prometheus

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

const (
	// What is kept, whichever limit is met first.
	retention    = 24 * time.Hour
	retainedSize = 512 << 20

	// stripes is for a few thousand series; Prometheus' own number is for millions.
	stripes = 1 << 10
)

// openStorage opens the database. One that cannot be read is given up: samples are of no
// such value that a cluster should not start for their sake.
func openStorage(o Options) (*tsdb.DB, error) {
	options := tsdb.DefaultOptions()
	options.RetentionDuration = retention.Milliseconds()
	options.MaxBytes = retainedSize
	options.StripeSize = stripes
	options.HeadChunksWriteBufferSize = chunks.MinWriteBufferSize
	options.NoLockfile = true // the playground has locked its directory
	if o.Ephemeral {
		options.WALSegmentSize = -1
	}
	db, err := tsdb.Open(o.Dir, o.Log, nil, options, nil)
	if err == nil {
		return db, nil
	}
	o.Log.Warn("the samples of an earlier run are given up", "error", err)
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("remove unreadable samples: %w", err)
	}
	if db, err = tsdb.Open(o.Dir, o.Log, nil, options, nil); err != nil {
		return nil, fmt.Errorf("open storage in %s: %w", o.Dir, err)
	}
	return db, nil
}
