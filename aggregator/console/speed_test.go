package console

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The whole page fits into 120 kB over the wire, is answered unpacked to those who cannot
// unpack it, and not at all to those who have it.
func TestPageIsSmall(t *testing.T) {
	h := New(newFixed(sample(then)), Options{}).Handler()
	get := func(name string, header ...string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/"+name, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		h.ServeHTTP(w, r)
		return w
	}
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for name, f := range all {
		packed, plain := get(name, "Accept-Encoding", "gzip, deflate, br"), get(name, "Accept-Encoding", "gzip;q=0, br")
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(z)
		if err != nil || string(body) != plain.Body.String() || string(body) != string(f.body) {
			t.Errorf("%s: packed and plain differ (%v)", name, err)
		}
		if again := get(name, "If-None-Match", packed.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: asked again: %d", name, again.Code)
		}
		if name != "uplot.LICENSE" { // no browser asks for it
			total += len(f.packed)
		}
	}
	t.Logf("the page is %d bytes over the wire, in %d files", total, len(all))
	if total > 120_000 {
		t.Errorf("the page is %d bytes over the wire, at most 120000", total)
	}
	if w := get("nothing.js"); w.Code != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", w.Code)
	}
}

// A packed stream is one gzip stream of many pieces: each can be read when it has come.
func TestPackedStream(t *testing.T) {
	src := newFixed(sample(then))
	srv := httptest.NewServer(New(src, Options{MinInterval: time.Millisecond}).Handler())
	defer srv.Close()
	r, err := http.NewRequest("GET", srv.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("header %v", resp.Header)
	}
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for i := range 3 {
		for lines.Scan() {
			data, is := strings.CutPrefix(lines.Text(), "data: ")
			if !is {
				continue
			}
			var s Snapshot
			if err := json.Unmarshal([]byte(data), &s); err != nil {
				t.Fatal(err)
			}
			if s.Chain.Height < uint64(482+i) {
				t.Errorf("height %d, want %d", s.Chain.Height, 482+i)
			}
			break
		}
		src.set(func(s *Snapshot) { s.Chain.Height++ })
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// sink takes a stream and keeps nothing.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(b []byte) (int, error) { return len(b), nil }
func (s sink) WriteHeader(int)             {}
func (s sink) Flush()                      {}

// However many look and however often something changes, a snapshot is encoded twice a
// second at most.
func TestViewersShareEncodings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newFixed(sample(then))
		s := New(src, Options{MaxStreams: 100})
		ctx, cancel := context.WithCancel(t.Context())
		var viewers sync.WaitGroup
		for i := range 100 {
			viewers.Go(func() {
				time.Sleep(time.Duration(i) * 7 * time.Millisecond)
				r := httptest.NewRequest("GET", "http://localhost/api/v1/events", nil).WithContext(ctx)
				r.RemoteAddr = fmt.Sprintf("10.0.0.%d:1", i)
				s.Handler().ServeHTTP(sink{http.Header{}}, r)
			})
		}
		for range 1000 { // 10 s
			time.Sleep(10 * time.Millisecond)
			src.set(func(*Snapshot) {})
		}
		cancel()
		viewers.Wait()
		if n := s.cache.count; n < 15 || n > 21 {
			t.Errorf("%d encodings in 10 s, want about 20", n)
		}
	})
}

// thousand is a community of a thousand generators in a storm.
func thousand() *Snapshot {
	s := sample(then)
	kinds := s.Generators
	s.Generators = nil
	for i := range 1000 {
		g := kinds[i%len(kinds)]
		g.ID = fmt.Sprintf("gen-%d", i)
		s.Generators = append(s.Generators, g)
	}
	return s
}

func BenchmarkEncodeThousand(b *testing.B) {
	src := newFixed(thousand())
	s := New(src, Options{})
	used := cpu(b)
	defer func() { b.ReportMetric((cpu(b)-used).Seconds()*1000/float64(b.N), "cpu-ms/op") }()
	for b.Loop() {
		src.set(func(*Snapshot) {})
		e, err := s.encoded(false)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(e.body)), "bytes")
		b.ReportMetric(float64(len(e.piece())), "bytes/packed")
	}
}

func BenchmarkFirstByte(b *testing.B) {
	srv := httptest.NewServer(New(newFixed(thousand()), Options{}).Handler())
	defer srv.Close()
	for b.Loop() {
		resp, err := http.Get(srv.URL + "/")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

// A hundred viewers of a thousand generators that change ten times a second: the share
// of a core, their own end included.
func BenchmarkHundredViewers(b *testing.B) {
	src := newFixed(thousand())
	srv := httptest.NewServer(New(src, Options{MaxStreams: 100}).Handler())
	defer srv.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var viewers sync.WaitGroup
	var got sync.WaitGroup
	got.Add(100)
	for i := range 100 {
		viewers.Go(func() {
			r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/v1/events", nil)
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Accept-Encoding", "gzip")
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.0.0.%d", i))
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				b.Error(err)
				got.Done()
				return
			}
			defer resp.Body.Close()
			_, _ = io.ReadFull(resp.Body, make([]byte, 1000))
			got.Done()
			_, _ = io.Copy(io.Discard, resp.Body)
		})
	}
	got.Wait()
	begun, used := time.Now(), cpu(b)
	for b.Loop() {
		time.Sleep(100 * time.Millisecond)
		src.set(func(*Snapshot) {})
	}
	b.ReportMetric((cpu(b)-used).Seconds()/time.Since(begun).Seconds(), "cores")
	cancel()
	viewers.Wait()
}

func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
