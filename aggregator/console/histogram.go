package console

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Histogram counts durations by buckets, as Prometheus has them. Its size never
// changes. It is safe for concurrent use; nil takes everything and tells nothing.
type Histogram struct {
	bounds []time.Duration // upper and inclusive, ascending
	counts []atomic.Uint64 // of each bucket alone; the last has no bound
	sum    atomic.Int64    // ns
}

// NewHistogram returns one with these upper bounds.
func NewHistogram(bounds ...time.Duration) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one duration; a clock that was set back may make it negative, which
// counts as none.
func (h *Histogram) Observe(d time.Duration) {
	if h == nil {
		return
	}
	d = max(d, 0)
	i, _ := slices.BinarySearch(h.bounds, d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// write writes the lines of the family name. labels may be empty. The count is that of
// the buckets as they were read, so that the lines agree with each other.
func (h *Histogram) write(w io.Writer, name, labels string) {
	if h == nil {
		return
	}
	before := labels
	if before != "" {
		before += ","
	}
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
		bound := "+Inf"
		if i < len(h.bounds) {
			bound = fmt.Sprint(h.bounds[i].Seconds())
		}
		_, _ = fmt.Fprintf(w, "%s_bucket{%sle=%q} %d\n", name, before, bound, total) // a buffer in memory
	}
	if labels != "" {
		labels = "{" + labels + "}"
	}
	_, _ = fmt.Fprintf(w, "%s_sum%s %v\n%s_count%s %d\n", name, labels, time.Duration(h.sum.Load()).Seconds(), name, labels, total)
}

const ms = time.Millisecond

// Measures are what a data aggregator measures beside the snapshot, for metrics alone.
type Measures struct {
	// BlockCommit is the time from an agreed block until it is checked, on disk and in
	// the state.
	BlockCommit *Histogram
	// RecordToBlock is the time from a record's arrival until its block is on disk.
	RecordToBlock *Histogram
	// BrokerDelivery is the time from a message to a broker until its acknowledgement.
	BrokerDelivery *Histogram
	// Brokers tells each connection to a broker.
	Brokers func() []Broker
	// Disk measures the data folder; an error leaves it out.
	Disk func() (Disk, error)
	// AuthorityEnds is when the first of the certificate authorities ends; zero: there is none.
	AuthorityEnds time.Time
}

// NewMeasures returns empty histograms.
func NewMeasures() *Measures {
	usual := []time.Duration{ms, 2500 * time.Microsecond, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second}
	return &Measures{
		BlockCommit: NewHistogram(usual...), BrokerDelivery: NewHistogram(usual...),
		RecordToBlock: NewHistogram(append(slices.Clip(usual[2:]), 30*time.Second, time.Minute)...),
	}
}

// A Broker is one connection.
type Broker struct {
	Name      string // without a password
	Connected bool
	Connects  uint64 // since the start, the first included
}

// A Disk is what a data folder takes and how much room is left.
type Disk struct {
	Bytes map[string]int64 // by file or folder of the data folder
	// FreeBytes may still be written to its file system, of SizeBytes; 0: not known here.
	FreeBytes, SizeBytes uint64
}

func writeMeasures(w io.Writer, m *Measures, nowMs int64) {
	if m == nil {
		return
	}
	m.BlockCommit.write(w, "fairwatt_da_block_commit_seconds", "")
	m.RecordToBlock.write(w, "fairwatt_da_record_to_block_seconds", "")
	m.BrokerDelivery.write(w, "fairwatt_da_broker_delivery_seconds", "")
	line := func(name, labels string, v any) { _, _ = fmt.Fprintf(w, "%s%s %v\n", name, labels, v) }
	if m.Brokers != nil {
		for _, b := range m.Brokers() {
			up := 0
			if b.Connected {
				up = 1
			}
			labels := fmt.Sprintf("{broker=%q}", b.Name)
			line("fairwatt_da_broker_up", labels, up)
			line("fairwatt_da_broker_connects_total", labels, b.Connects)
		}
	}
	if !m.AuthorityEnds.IsZero() {
		line("fairwatt_cert_expiry_seconds", `{id="ca"}`, m.AuthorityEnds.Unix()-nowMs/1000)
	}
	if m.Disk == nil {
		return
	}
	disk, err := m.Disk()
	if err != nil {
		return // a rule sees that it is absent
	}
	for _, name := range sortedKeys(disk.Bytes) {
		line("fairwatt_da_data_bytes", fmt.Sprintf("{file=%q}", name), disk.Bytes[name])
	}
	if disk.SizeBytes > 0 {
		line("fairwatt_da_disk_free_bytes", "", disk.FreeBytes)
		line("fairwatt_da_disk_size_bytes", "", disk.SizeBytes)
	}
}

// answers measures how long the console takes, by route: there are as many as routes.
type answers struct {
	mu    sync.Mutex
	route map[string]*Histogram
}

// observe counts one answer to r, which the mux has seen.
func (a *answers) observe(r *http.Request, took time.Duration) {
	_, route, _ := strings.Cut(r.Pattern, " ")
	if route == "" { // no route, or no method, is like it
		route = "other"
	}
	if route == "/api/v1/events" {
		return // a stream lasts as long as its reader likes
	}
	a.mu.Lock()
	h := a.route[route]
	if h == nil {
		if a.route == nil {
			a.route = make(map[string]*Histogram)
		}
		h = NewHistogram(ms, 5*ms, 25*ms, 100*ms, 500*ms, 2500*ms, 10*time.Second)
		a.route[route] = h
	}
	a.mu.Unlock()
	h.Observe(took)
}

func (a *answers) write(w io.Writer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, route := range sortedKeys(a.route) {
		a.route[route].write(w, "fairwatt_da_http_request_seconds", fmt.Sprintf("route=%q", route))
	}
}
