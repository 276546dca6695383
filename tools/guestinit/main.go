//go:build linux && arm

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

func say(format string, args ...any) { fmt.Printf("guest: "+format+"\n", args...) }

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guestinit is the first process of a machine in an emulator; see tools/check-kernel.sh")
		os.Exit(2)
	}
	if err := setup(); err != nil {
		say("failed: %v", err)
		end()
	}
	say("ready")
	obey()
	end()
}

// end stops the machine. It does not return.
func end() {
	syscall.Sync()
	err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	say("failed: restart: %v", err)
	select {}
}

// setup makes the machine ready for programs.
func setup() error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		// The kernel may have mounted /dev itself.
		if err := syscall.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	list, err := os.ReadFile("/modules.list")
	if err != nil {
		return err
	}
	for _, path := range strings.Fields(string(list)) {
		if err := load(path); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	for name, address := range map[string][4]byte{"lo": {127, 0, 0, 1}, "eth0": {10, 0, 2, 15}} {
		if err := bringUp(name, address); err != nil {
			return fmt.Errorf("set up %s: %w", name, err)
		}
	}
	return nil
}

// load puts a module into the kernel. One that is built in is there already.
func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	none := []byte{0}
	_, _, code := syscall.Syscall(sysFinitModule, f.Fd(), uintptr(unsafe.Pointer(&none[0])), 0)
	if code != 0 && code != syscall.EEXIST {
		return code
	}
	return nil
}

// sysFinitModule is finit_module on 32-bit ARM.
const sysFinitModule = 379

// bringUp gives an interface its address, with the mask of a class A or C network
// as the kernel sets it, and switches it on.
func bringUp(name string, address [4]byte) error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	var request [32]byte // struct ifreq
	copy(request[:syscall.IFNAMSIZ-1], name)
	binary.NativeEndian.PutUint16(request[16:], syscall.AF_INET)
	copy(request[20:], address[:])
	if err := ioctl(s, syscall.SIOCSIFADDR, &request); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	clear(request[16:])
	binary.NativeEndian.PutUint16(request[16:], syscall.IFF_UP|syscall.IFF_RUNNING)
	if err := ioctl(s, syscall.SIOCSIFFLAGS, &request); err != nil {
		return fmt.Errorf("switch on: %w", err)
	}
	return nil
}

func ioctl(fd int, code uintptr, request *[32]byte) error {
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), code, uintptr(unsafe.Pointer(request))); e != 0 {
		return e
	}
	return nil
}

// obey does what the console says.
func obey() {
	var started *exec.Cmd
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		switch verb, args := words[0], words[1:]; {
		case verb == "poweroff":
			return
		case verb == "run" && len(args) > 0:
			cmd := program(args)
			say("exit %d", ended(cmd, cmd.Start()))
		case verb == "start" && len(args) > 0 && started == nil:
			cmd := program(args)
			if err := cmd.Start(); err != nil {
				say("failed: %v", err)
				continue
			}
			started = cmd
			say("started")
		case verb == "kill" && len(args) == 1 && started != nil:
			number, err := strconv.Atoi(args[0])
			if err == nil {
				err = started.Process.Signal(syscall.Signal(number))
			}
			if err != nil {
				say("failed: kill: %v", err)
				continue
			}
			say("exit %d", ended(started, nil))
			started = nil
		case verb == "time" && len(args) == 1:
			seconds, err := strconv.ParseInt(args[0], 10, 64)
			if err == nil {
				err = syscall.Settimeofday(&syscall.Timeval{Sec: int32(seconds)})
			}
			if err != nil {
				say("failed: time: %v", err)
				continue
			}
			say("set")
		case verb == "list" && len(args) == 1:
			found, err := filepath.Glob(args[0])
			if err != nil {
				say("failed: list: %v", err)
				continue
			}
			say("found %s", strings.Join(found, " "))
		default:
			say("failed: not understood: %q", lines.Text())
		}
	}
	say("failed: the console ended: %v", lines.Err())
}

func program(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = prefixed{}, prefixed{}
	return cmd
}

// prefixed marks what a program says, whole lines at a time: two programs and the
// kernel share the console.
type prefixed struct{}

func (prefixed) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		fmt.Printf("program: %s\n", bytes.TrimRight(line, "\r\n"))
	}
	return len(b), nil
}

// ended waits for a program that was started and gives its exit code, -1 after a
// signal.
func ended(cmd *exec.Cmd, err error) int {
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		say("failed: %v", err)
		return -2
	}
	return cmd.ProcessState.ExitCode()
}
