package console

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// An encoding is one snapshot as all viewers get it.
type encoding struct {
	version uint64
	made    time.Time
	cost    time.Duration // of making it
	body    []byte        // JSON
	event   []byte        // the same as a server-sent event

	pack   sync.Once
	packed []byte // the event as a piece of a deflate stream
}

// gzipHead begins a gzip stream without name and time (RFC 1952, section 2.3).
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// piece packs bytes as whole blocks of a deflate stream that goes on (RFC 1951, section
// 3.2): pieces refer to nothing before them, so one piece serves the streams of all.
func piece(b []byte) []byte {
	var out bytes.Buffer
	z, err := flate.NewWriter(&out, 4)
	if err != nil {
		panic("console: " + err.Error()) // 4 is a level
	}
	_, _ = z.Write(b) // a buffer takes all
	_ = z.Flush()
	return out.Bytes()
}

func (e *encoding) piece() []byte {
	e.pack.Do(func() { e.packed = piece(e.event) })
	return e.packed
}

// maxPace is the longest time between two snapshots of a stream: below the silence that
// a page takes for an end.
const maxPace = 8 * time.Second

// pace is the least time between two encodings for streams. One that takes long comes
// more rarely, so that encoding costs a twentieth of a core at most.
func (s *Server) pace(e *encoding) time.Duration {
	return max(s.opts.MinInterval, min(20*e.cost, maxPace))
}

// encoded returns the newest snapshot, encoded once a version. For streams it returns
// the one before, too, while that is younger than their pace.
func (s *Server) encoded(stream bool) (*encoding, error) {
	s.cache.Lock()
	defer s.cache.Unlock()
	old := s.cache.newest
	begun := time.Now()
	if stream && old != nil && begun.Sub(old.made) < s.pace(old) {
		return old, nil
	}
	snap := s.src.Snapshot()
	if old != nil && old.version == snap.Version {
		return old, nil
	}
	body, err := json.Marshal(snap)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	e := &encoding{version: snap.Version, made: begun, body: body, event: fmt.Appendf(nil, "event: snapshot\nid: %d\ndata: %s\n\n", snap.Version, body)}
	e.cost = time.Since(begun)
	s.cache.newest = e
	s.cache.count++
	return e, nil
}
