package agent

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A machine is an emulated board (QEMU's sabrelite, an i.MX 6) with a Linux kernel
// of its own. The test is the world around it: it sets the temperature of the chip
// on its I2C bus and the levels of its input pins, and sees those of its outputs.
type machine struct {
	t     *testing.T
	ctx   context.Context
	stdin io.Writer
	qmp   *dialogue // the emulator's control
	pins  *dialogue // the emulator's pins (qtest)

	mu      sync.Mutex
	changed chan struct{} // closed at each line and each move
	lines   []string      // of the console
	level   map[int]bool  // of the bank's outputs
	moves   []move        // of them
}

// A move is a change of an output.
type move struct {
	pin  int
	high bool
	at   time.Time
}

// bank is the bank of pins whose outputs are seen, chip the kernel's name of it, and
// bankISR its register of interrupts.
const (
	bank = "/machine/soc/gpio5"
	chip = "20ac000.gpio"

	bankISR = 0x20ac018
)

// A file of the machine.
type guestFile struct {
	name string
	mode uint32
	data []byte
}

// newMachine starts a machine with the kernel in dir and these files.
func newMachine(ctx context.Context, t *testing.T, dir string, files []guestFile) *machine {
	t.Helper()
	tmp := t.TempDir()
	initrd := filepath.Join(tmp, "initrd")
	if err := os.WriteFile(initrd, archive(files), 0o600); err != nil {
		t.Fatal(err)
	}
	qmp, pins := filepath.Join(tmp, "qmp"), filepath.Join(tmp, "qtest")
	cmd := exec.CommandContext(ctx, "qemu-system-arm", "-M", "sabrelite", "-m", "512M", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(dir, "vmlinuz"), "-dtb", filepath.Join(dir, "imx6q-sabrelite.dtb"), "-initrd", initrd,
		"-append", "console=ttymxc1,115200 quiet panic=-1 rdinit=/init",
		"-serial", "null", "-serial", "stdio", "-nic", "user",
		"-device", "tmp105,id=thermometer,bus=i2c-bus.0,address=0x48",
		"-qmp", "unix:"+qmp+",server=on,wait=off", "-qtest", "unix:"+pins+",server=on,wait=off", "-qtest-log", "none")
	m := &machine{t: t, ctx: ctx, changed: make(chan struct{}), level: map[int]bool{}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	m.stdin, cmd.Stderr = stdin, &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.listen(stdout)
		_ = cmd.Wait() // the test ends it
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-ended
		if t.Failed() {
			m.mu.Lock()
			defer m.mu.Unlock()
			t.Logf("the emulator: %s\nthe console:\n%s", &complaints, strings.Join(m.lines, "\n"))
		}
	})
	m.qmp, m.pins = m.dial(qmp, nil), m.dial(pins, m.moved)
	m.tell(`{"execute":"qmp_capabilities"}`)
	m.pin("irq_intercept_out %s", bank)
	return m
}

// listen collects what the console says.
func (m *machine) listen(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		m.change(func() { m.lines = append(m.lines, strings.TrimRight(lines.Text(), "\r")) })
	}
}

func (m *machine) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	close(m.changed)
	m.changed = make(chan struct{})
}

// await waits until done is true; it is asked at each line and each move, with the
// lock held.
func (m *machine) await(what string, within time.Duration, done func() bool) {
	m.t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		m.mu.Lock()
		ok, changed := done(), m.changed
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			m.t.Fatalf("not within %v: %s", within, what)
		case <-m.ctx.Done():
			m.t.Fatalf("%s: %v", what, context.Cause(m.ctx))
		}
	}
}

// guestPrefix begins what the machine's first process says.
const guestPrefix = "guest: "

// do has the first process do something, and gives its answer.
func (m *machine) do(format string, args ...any) string {
	m.t.Helper()
	m.mu.Lock()
	from := len(m.lines)
	m.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(m.stdin, what); err != nil {
		m.t.Fatal(err)
	}
	return m.answer(what, from)
}

// answer awaits what the first process says after a line of the console.
func (m *machine) answer(what string, from int) (said string) {
	m.t.Helper()
	m.await("an answer to: "+what, 2*time.Minute, func() bool {
		for _, line := range m.lines[min(from, len(m.lines)):] {
			if _, found, ok := strings.Cut(line, guestPrefix); ok {
				said = found
				return true
			}
		}
		return false
	})
	if strings.HasPrefix(said, "failed") {
		m.t.Fatalf("%s: %s", what, said)
	}
	return said
}

// A dialogue is a socket of the emulator's.
type dialogue struct {
	mu      sync.Mutex // one question at a time
	conn    net.Conn
	answers chan string
}

// dial opens a socket of the emulator's. What it says unasked goes to unasked, which
// tells whether it takes it.
func (m *machine) dial(path string, unasked func(string) bool) *dialogue {
	m.t.Helper()
	var conn net.Conn
	for { // the emulator makes it when it has started
		var err error
		if conn, err = net.Dial("unix", path); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			m.t.Fatal(err)
		}
		select {
		case <-m.ctx.Done():
			m.t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	d := &dialogue{conn: conn, answers: make(chan string, 16)}
	go func() {
		defer close(d.answers)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if text := strings.TrimSpace(lines.Text()); text != "" && (unasked == nil || !unasked(text)) {
				d.answers <- text
			}
		}
	}()
	m.t.Cleanup(func() {
		_ = conn.Close()
		for range d.answers { // until its reader has ended
		}
	})
	return d
}

// ask says something and gives what stands behind a good answer. It may be called by
// any goroutine.
func (d *dialogue) ask(what, good string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := fmt.Fprintln(d.conn, what); err != nil {
		return "", err
	}
	for said := range d.answers {
		if rest, ok := strings.CutPrefix(said, good); ok {
			return strings.TrimSpace(rest), nil
		}
		if strings.Contains(said, `"error"`) || strings.HasPrefix(said, "FAIL") {
			return "", fmt.Errorf("%s: %s", what, said)
		}
	}
	return "", fmt.Errorf("%s: the emulator has ended", what)
}

// tell gives the emulator a command of its control.
func (m *machine) tell(command string) {
	m.t.Helper()
	if _, err := m.qmp.ask(command, `{"return"`); err != nil {
		m.t.Error(err)
	}
}

// pin gives the emulator a command for its pins.
func (m *machine) pin(format string, args ...any) (said string) {
	m.t.Helper()
	said, err := m.pins.ask(fmt.Sprintf(format, args...), "OK")
	if err != nil && m.ctx.Err() == nil {
		m.t.Error(err)
	}
	return said
}

// taken waits until the kernel has taken the interrupt of a pin: until it has cleared
// the pin's bit in the bank's status register (i.MX 6 reference manual, GPIOx_ISR).
// An emulator on a busy machine stands still for longer than a pulse is, and the
// register has one bit for any number of edges.
func (m *machine) taken(pin int) {
	m.t.Helper()
	for m.ctx.Err() == nil {
		status, err := strconv.ParseUint(m.pin("readl 0x%x", bankISR), 0, 64)
		if err != nil {
			m.t.Error(err)
			return
		}
		if status>>pin&1 == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// moved takes the moves of outputs.
func (m *machine) moved(said string) bool {
	var verb string
	var pin int
	if n, _ := fmt.Sscanf(said, "IRQ %s %d", &verb, &pin); n != 2 {
		return false
	}
	m.change(func() {
		m.level[pin] = verb == "raise"
		m.moves = append(m.moves, move{pin, verb == "raise", time.Now()})
	})
	return true
}

// heat sets the temperature of the chip, in thousandths of a degree.
func (m *machine) heat(milliC int) {
	m.t.Helper()
	m.tell(fmt.Sprintf(`{"execute":"qom-set","arguments":{"path":"/machine/peripheral/thermometer","property":"temperature","value":%d}}`, milliC))
}

// drive sets the level of an input pin of the bank.
func (m *machine) drive(pin int, high bool) {
	m.t.Helper()
	level := 0
	if high {
		level = 1
	}
	m.pin("set_irq_in %s unnamed-gpio-in %d %d", bank, pin, level)
}

// modulesOf gives modules and those that they need, in the order in which they are
// loaded. What is not in the folder is built into the kernel.
func modulesOf(t *testing.T, dir string, names ...string) (files []guestFile) {
	t.Helper()
	paths := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		name = strings.ReplaceAll(name, "-", "_")
		path, ok := paths[name]
		if seen[name] || !ok {
			return
		}
		seen[name] = true
		for _, needed := range dependsOn(t, path) {
			add(needed)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, guestFile{"modules/" + name + ".ko", 0o644, data})
	}
	for _, name := range names {
		add(name)
	}
	var list strings.Builder
	for _, f := range files {
		fmt.Fprintf(&list, "/%s\n", f.name)
	}
	return append(files, guestFile{"modules.list", 0o644, []byte(list.String())})
}

// dependsOn reads which modules a module names as needed.
func dependsOn(t *testing.T, path string) []string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		t.Fatalf("%s has no .modinfo", path)
	}
	info, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.SplitSeq(info, []byte{0}) {
		if names, ok := bytes.CutPrefix(line, []byte("depends=")); ok {
			return strings.FieldsFunc(string(names), func(r rune) bool { return r == ',' })
		}
	}
	return nil
}

// archive packs files as the kernel unpacks them: cpio, "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func archive(files []guestFile) []byte {
	var out bytes.Buffer
	number := 0
	add := func(name string, mode uint32, data []byte) {
		number++
		fmt.Fprintf(&out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		pad := func() { out.Write(make([]byte, (4-out.Len()%4)%4)) }
		pad()
		out.Write(data)
		pad()
	}
	const folder, regular = 0o040755, 0o100000
	folders := []string{"dev"} // the kernel's console is opened before the first process
	for _, f := range files {
		for d := filepath.Dir(f.name); d != "."; d = filepath.Dir(d) {
			folders = append(folders, d)
		}
	}
	slices.Sort(folders) // those above first
	for _, d := range slices.Compact(folders) {
		add(d, folder, nil)
	}
	for _, f := range files {
		add(f.name, regular|f.mode, f.data)
	}
	add("TRAILER!!!", 0, nil)
	return out.Bytes()
}

// mustJSON is v as JSON.
func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
