package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of one run of a test binary.
const (
	memoryKB   = 6 << 20 // of address space
	softMemory = "GOMEMLIMIT=1GiB"
	quickRun   = 300 * time.Millisecond // the fastest tests, up to here, run first
	slowerRun  = 3 * time.Second        // then those up to here, then the rest
)

// A testCase is one top-level test of the package.
type testCase struct {
	name    string
	took    time.Duration
	cpu     time.Duration
	reaches map[int]bool
}

// A binary is the switched test binary of a package.
type binary struct {
	path, dir string
	scratch   string
	flags     []string // for every run
	slack     time.Duration
	factor    int
}

// compile builds the switched test binary into folder scratch.
func compile(ctx context.Context, s *schema, scratch string) (*binary, error) {
	replace := make(map[string]string)
	i := 0
	for path, text := range s.files {
		i++
		copied := filepath.Join(scratch, strconv.Itoa(i)+"_"+filepath.Base(path))
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return nil, fmt.Errorf("write switched source: %w", err)
		}
		replace[path] = copied
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, fmt.Errorf("encode overlay: %w", err)
	}
	overlayPath := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlayPath, overlay, 0o600); err != nil {
		return nil, fmt.Errorf("write overlay: %w", err)
	}
	b := &binary{path: filepath.Join(scratch, "tests"), dir: s.dir, scratch: scratch}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlayPath, "-o", b.path, ".")
	cmd.Dir, cmd.Env = s.dir, environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the tests of %s: %w\n%s", s.short, err, out)
	}
	if _, err := os.Stat(b.path); err != nil {
		return nil, fmt.Errorf("%s has no tests: %w", s.short, err)
	}
	// Property tests must draw the same cases each time, and leave no file of a failure.
	help := exec.CommandContext(ctx, b.path, "-test.run", "^$", "-h")
	text, _ := help.CombinedOutput() // -h exits with 2
	if bytes.Contains(text, []byte("-rapid.nofailfile")) {
		b.flags = append(b.flags, "-rapid.nofailfile", "-rapid.seed=1", "-rapid.shrinktime=1ms")
	}
	return b, nil
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Example)`)

// list names the top-level tests.
func (b *binary) list(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.path, "-test.list", ".")
	cmd.Dir, cmd.Env = b.dir, environment()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list tests: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); testName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// trace runs one test alone, and notes its time and the mutants it reaches.
func (b *binary) trace(ctx context.Context, name string, limit time.Duration) (testCase, error) {
	path := filepath.Join(b.scratch, "trace")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return testCase{}, fmt.Errorf("remove trace: %w", err)
	}
	result := b.run(ctx, []string{name}, limits{wall: limit, cpu: limit}, envTrace+"="+path)
	c := testCase{name: name, took: result.took, cpu: result.cpu, reaches: make(map[int]bool)}
	if result.end != passed {
		return c, fmt.Errorf("%s %s without any mutant: %s", name, result.end, result.tail)
	}
	file, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("read trace: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		id, err := strconv.Atoi(lines.Text())
		if err != nil {
			return c, fmt.Errorf("read trace: %w", err)
		}
		c.reaches[id] = true
	}
	if err := lines.Err(); err != nil {
		return c, fmt.Errorf("read trace: %w", err)
	}
	return c, nil
}

// An ending says how a run ended.
type ending int

const (
	passed ending = iota
	failed
	hung
)

func (e ending) String() string { return [...]string{"passed", "failed", "hung"}[e] }

type result struct {
	end  ending
	took time.Duration
	cpu  time.Duration
	tail string
}

// limits are when a run hangs: after so much time of a processor, which another load
// on the machine does not lengthen, or after so long, for what waits for ever.
type limits struct{ cpu, wall time.Duration }

// patience is how much longer than before a run may take that uses no more of a
// processor: the load of the machine may have grown.
const patience = 10

// limit is when tests of a normal time hang.
func (b *binary) limit(tests []testCase) limits {
	var l limits
	for _, c := range tests {
		l.cpu += c.cpu
		l.wall += c.took
	}
	return limits{cpu: time.Duration(b.factor)*l.cpu + b.slack, wall: patience * (time.Duration(b.factor)*l.wall + b.slack)}
}

// run runs the named tests in one process of bounded time and memory.
func (b *binary) run(ctx context.Context, names []string, limit limits, env ...string) result {
	ctx, cancel := context.WithTimeout(ctx, limit.wall)
	defer cancel()
	temp, err := os.MkdirTemp(b.scratch, "tmp")
	if err != nil {
		return result{end: failed, tail: err.Error()}
	}
	defer os.RemoveAll(temp)
	seconds := int64((limit.cpu + time.Second - 1) / time.Second)
	args := []string{"-c", fmt.Sprintf(`ulimit -v %d; ulimit -t %d; exec "$0" "$@"`, memoryKB, seconds), b.path,
		"-test.failfast", "-test.timeout=0", "-test.run", "^(" + strings.Join(names, "|") + ")$"}
	cmd := exec.CommandContext(ctx, "sh", append(args, b.flags...)...)
	cmd.Dir = b.dir
	cmd.Env = environment(append(env, softMemory, "TMPDIR="+temp)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err = cmd.Run()
	r := result{took: time.Since(began), tail: string(out.bytes)}
	spent := false // its time of a processor: the kernel has ended it
	if p := cmd.ProcessState; p != nil {
		r.cpu = p.UserTime() + p.SystemTime()
		status, is := p.Sys().(syscall.WaitStatus)
		spent = is && status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGXCPU)
	}
	switch {
	case ctx.Err() != nil || spent:
		r.end = hung
	case err != nil:
		r.end = failed
	}
	return r
}

// tail keeps the last bytes written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - 2000; over > 0 {
		t.bytes = slices.Delete(t.bytes, 0, over)
	}
	return len(p), nil
}

// A fate is what became of a mutant.
type fate int

const (
	unknown fate = iota
	killed
	killedByHang
	survived
	notCovered
)

// try runs the tests that reach a mutant, the fastest first, until one notices it.
func (b *binary) try(ctx context.Context, id int, reaching []testCase) fate {
	if len(reaching) == 0 {
		return notCovered
	}
	for _, batch := range batches(reaching) {
		var names []string
		for _, c := range batch {
			names = append(names, regexp.QuoteMeta(c.name))
		}
		r := b.run(ctx, names, b.limit(batch), envMutant+"="+number(id))
		if ctx.Err() != nil {
			return unknown
		}
		switch r.end {
		case failed:
			return killed
		case hung:
			return killedByHang
		}
	}
	return survived
}

// batches cuts tests, sorted by time of a processor, into a quick, a slower and a slow group.
func batches(tests []testCase) [][]testCase {
	var groups [][]testCase
	var sum time.Duration
	step := 0
	limits := []time.Duration{quickRun, slowerRun}
	for i, c := range tests {
		sum += c.cpu
		at := step
		for at < len(limits) && sum > limits[at] {
			at++
		}
		if i == 0 || at != step {
			groups = append(groups, nil)
		}
		step = at
		groups[len(groups)-1] = append(groups[len(groups)-1], c)
	}
	return groups
}
