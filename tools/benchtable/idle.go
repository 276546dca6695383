package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	idleDAs     = 4
	idleRecords = 20               // one at a time, each a block
	idleSettle  = 15 * time.Second // after the start, before anything is read
	clockTicks  = 100              // a second in /proc, on every Linux that Go runs on
)

// A usage is what a process has used until a moment.
type usage struct {
	busy    time.Duration
	written int64 // bytes that went to storage
}

// idleAggregators runs four data aggregators with TLS links and a broker as mc init
// writes them: idle for a while, then a centre's records one at a time. It returns their
// processor time and memory when idle, and what they write for a block of one record.
func idleAggregators(ctx context.Context, idle time.Duration) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "fairwatt-idle-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, idle+5*time.Minute)
	defer cancel()
	town, err := newIdleTown(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer town.stop()
	if err := town.begin(ctx); err != nil {
		return nil, err
	}
	note := fmt.Sprintf("mean of %d processes, TLS links, %s", idleDAs, town.brokerNote)
	if err := pause(ctx, idleSettle); err != nil {
		return nil, err
	}
	before, err := town.used()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, idle); err != nil {
		return nil, err
	}
	after, err := town.used()
	if err != nil {
		return nil, err
	}
	var memory float64
	for _, da := range town.das {
		mb, err := memoryMB(da.Process.Pid, "VmRSS")
		if err != nil {
			return nil, err
		}
		memory = max(memory, mb)
	}
	blocks, err := town.records(ctx)
	if err != nil {
		return nil, err
	}
	final, err := town.used()
	if err != nil {
		return nil, err
	}
	share := 100 * (after.busy - before.busy).Seconds() / idle.Seconds() / idleDAs
	return []figure{
		{"data aggregator, idle", share, "% of a core", fmt.Sprintf("over %v, %s; 1 aimed at", idle, note)},
		{"data aggregator, idle: VmRSS", memory, "MB", "the highest of them; to stay under 40"},
		{"block of one record: written to disk", float64(final.written-after.written) / 1e3 / float64(blocks), "kB",
			fmt.Sprintf("by %d DAs together, %d blocks one at a time; 64 aimed at", idleDAs, blocks)},
	}, nil
}

// pause waits until nothing but time has passed.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// An idleTown is a community on this machine.
type idleTown struct {
	dir        string
	pages      []string // addresses, one a data aggregator
	das        []*exec.Cmd
	stops      []func()
	broker     string // its address
	brokerNote string
}

// newIdleTown writes its files.
func newIdleTown(ctx context.Context, dir string) (*idleTown, error) {
	t := &idleTown{dir: filepath.Join(dir, "community")}
	port, err := freePorts(idleDAs)
	if err != nil {
		return nil, err
	}
	if err := command(ctx, "bin/aggregator", "mc", "init", "--dir", t.dir, "--das", strconv.Itoa(idleDAs), "--port", strconv.Itoa(port)); err != nil {
		return nil, err
	}
	if t.broker, err = freeAddr(); err != nil {
		return nil, err
	}
	_, brokerPort, err := net.SplitHostPort(t.broker)
	if err != nil {
		return nil, err
	}
	if err := replaceIn(filepath.Join(t.dir, "broker", "mosquitto.conf"), "listener 8883 ", "listener "+brokerPort+" "); err != nil {
		return nil, err
	}
	for i := range idleDAs {
		page, err := freeAddr()
		if err != nil {
			return nil, err
		}
		t.pages = append(t.pages, page)
		config := t.config(i)
		err = errors.Join(replaceIn(config, "tls://127.0.0.1:8883", "tls://"+t.broker),
			replaceIn(config, fmt.Sprintf("http: 127.0.0.1:%d", 8080+i), "http: "+page))
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *idleTown) config(i int) string {
	return filepath.Join(t.dir, fmt.Sprintf("da-%d", i+1), "da.yaml")
}

// replaceIn changes a text that must stand in a file.
func replaceIn(path, old, now string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), old) {
		return fmt.Errorf("%s does not say %q", path, old)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, now)), 0o600)
}

// freePorts returns the first of so many ports in a row that were free a moment ago.
func freePorts(n int) (int, error) {
	for range 100 {
		first, err := freeAddr()
		if err != nil {
			return 0, err
		}
		_, text, err := net.SplitHostPort(first)
		if err != nil {
			return 0, err
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return 0, err
		}
		free := port+n < 65536
		for i := 0; free && i < n; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if free = err == nil; free {
				if err := l.Close(); err != nil {
					return 0, err
				}
			}
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row", n)
}

// begin starts all and waits until every data aggregator is well.
func (t *idleTown) begin(ctx context.Context) error {
	t.brokerNote = "Mosquitto"
	path, err := mosquitto()
	if err != nil {
		t.brokerNote = "no broker installed"
	} else {
		stop, err := start(ctx, path, "-c", filepath.Join(t.dir, "broker", "mosquitto.conf"))
		if err != nil {
			return err
		}
		t.stops = append(t.stops, stop)
		if err := awaitListener(ctx, t.broker); err != nil {
			return fmt.Errorf("mosquitto: %w", err)
		}
	}
	for i := range idleDAs {
		da := exec.CommandContext(ctx, "bin/aggregator", "da", "--config", t.config(i))
		if err := da.Start(); err != nil {
			return err
		}
		t.das = append(t.das, da)
		t.stops = append(t.stops, func() { _ = da.Process.Kill(); _ = da.Wait() })
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for _, page := range t.pages {
		for {
			_, err := get(ctx, "http://"+page+"/healthz")
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("a data aggregator is not well: %w", err)
			case <-retry.C:
			}
		}
	}
	return nil
}

func (t *idleTown) stop() {
	for _, stop := range t.stops {
		stop()
	}
}

// records has the centre write records, each after the one before is final. It returns
// how many blocks they took.
func (t *idleTown) records(ctx context.Context) (uint64, error) {
	centre := filepath.Join(t.dir, "mc-1", "mc.yaml")
	before, err := t.height(ctx, 0)
	if err != nil {
		return 0, err
	}
	for i := range idleRecords {
		id := fmt.Sprintf("pv-%d", i+1)
		dir := filepath.Join(t.dir, id)
		err := command(ctx, "bin/agent", "enroll", "--dir", dir, "--genesis", filepath.Join(t.dir, "genesis.json"), "--device", id, "--role", "seller")
		if err != nil {
			return 0, err
		}
		err = command(ctx, "bin/aggregator", "mc", "register", "--config", centre, "--enrolment", filepath.Join(dir, "enrolment.json"), "--site", "bench")
		if err != nil {
			return 0, err
		}
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	var top uint64
	for i := range idleDAs { // all have all of it
		for {
			h, err := t.height(ctx, i)
			if err != nil {
				return 0, err
			}
			if top = max(top, h); h == top && h >= before+idleRecords {
				break
			}
			select {
			case <-ctx.Done():
				return 0, fmt.Errorf("data aggregator %d is at height %d: %w", i+1, h, ctx.Err())
			case <-retry.C:
			}
		}
	}
	return top - before, nil
}

func (t *idleTown) height(ctx context.Context, i int) (uint64, error) {
	b, err := get(ctx, "http://"+t.pages[i]+"/api/v1/snapshot")
	if err != nil {
		return 0, err
	}
	var s struct{ Chain *struct{ Height *uint64 } }
	if err := json.Unmarshal(b, &s); err != nil {
		return 0, fmt.Errorf("snapshot: %w", err)
	}
	if s.Chain == nil || s.Chain.Height == nil {
		return 0, errors.New("the snapshot has no chain.height")
	}
	return *s.Chain.Height, nil
}

func get(ctx context.Context, url string) (_ []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return b, err
}

// used is what all data aggregators have used together.
func (t *idleTown) used() (usage, error) {
	var all usage
	for _, da := range t.das {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", da.Process.Pid))
		if err != nil {
			return all, err
		}
		busy, err := statBusy(string(stat))
		if err != nil {
			return all, err
		}
		io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", da.Process.Pid))
		if err != nil {
			return all, err
		}
		written, err := ioWritten(string(io))
		if err != nil {
			return all, err
		}
		all.busy += busy
		all.written += written
	}
	return all, nil
}

// statBusy reads user and system time from the text of /proc/PID/stat (proc(5), fields
// 14 and 15). The second field, the program's name, may hold spaces.
func statBusy(text string) (time.Duration, error) {
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("%d fields after the name in /proc/PID/stat", len(f))
	}
	var ticks int64
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("time in /proc/PID/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

// ioWritten reads from the text of /proc/PID/io what went to storage.
func ioWritten(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			return strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	return 0, errors.New("no write_bytes in /proc/PID/io")
}
