package socket

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"fairwatt/proto/wire"
)

// File is the socket's name in the data directory.
const File = "agent.sock"

// Limits of a connection.
const (
	maxConnections = 8
	lineTimeout    = 5 * time.Second // for a request to come, and for its answer to go
)

// maxPathBytes is what a Unix address holds, on every system we run on.
const maxPathBytes = 100

// A Server answers on the socket of one data directory.
type Server struct {
	listener *net.UnixListener
	path     string
	log      *slog.Logger

	wg    sync.WaitGroup
	slots chan struct{}
}

// Listen opens the socket in a data directory. A socket that is there is replaced;
// another kind of file is not.
func Listen(dir string, log *slog.Logger) (*Server, error) {
	path := filepath.Join(dir, File)
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("open the agent's socket: %s is a file of another kind; move it away", path)
	case err == nil:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace the agent's socket: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open the agent's socket: %w", err)
	}
	address, release, err := address(dir)
	if err != nil {
		return nil, fmt.Errorf("open the agent's socket: %w", err)
	}
	defer release()
	// The mode is set before the socket has a name: no one else can come between.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var mode error
		err := c.Control(func(fd uintptr) { mode = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, mode)
	}}
	l, err := config.Listen(context.Background(), "unix", address)
	if err != nil {
		return nil, fmt.Errorf("open the agent's socket: %w", err)
	}
	unix := l.(*net.UnixListener)
	unix.SetUnlinkOnClose(false) // its address may be a short name of the folder
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the agent's socket: %w", err), unix.Close())
	}
	return &Server{listener: unix, path: path, log: log, slots: make(chan struct{}, maxConnections)}, nil
}

// address is what the socket is bound to or dialled by. A Unix address holds some
// hundred bytes; a longer path goes by the folder's descriptor.
func address(dir string) (string, func(), error) {
	path := filepath.Join(dir, File)
	if len(path) <= maxPathBytes {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) + "/" + File, func() { _ = f.Close() }, nil
}

// Serve answers until Close. answer may be called for several connections at once.
func (s *Server) Serve(ctx context.Context, answer func(ctx context.Context, line []byte) wire.Result) error {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			s.wg.Wait()
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on the agent's socket: %w", err)
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.log.Warn("agent's socket: too many at once", "most", maxConnections)
			_ = conn.Close() // it is told by the end of its connection
			continue
		}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			if err := s.handle(ctx, conn, answer); err != nil {
				s.log.Warn("agent's socket", "err", err)
			}
		})
	}
}

func (s *Server) handle(ctx context.Context, conn net.Conn, answer func(context.Context, []byte) wire.Result) (err error) {
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetReadDeadline(time.Now().Add(lineTimeout)); err != nil {
		return err
	}
	line, err := readLine(conn)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	b, err := json.Marshal(answer(ctx, line))
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(lineTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// readLine reads one line, at most MaxCommandBytes long.
func readLine(conn net.Conn) ([]byte, error) {
	line, err := bufio.NewReaderSize(conn, wire.MaxCommandBytes+1).ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("longer than %d bytes", wire.MaxCommandBytes)
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}

// Close ends Serve and removes the socket.
func (s *Server) Close() error {
	err := s.listener.Close()
	if gone := os.Remove(s.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// Ask sends a command to the agent of a data directory and returns its answer.
func Ask(ctx context.Context, dir string, c *wire.Command) (wire.Result, error) {
	var out wire.Result
	address, release, err := address(dir)
	if err != nil {
		return out, fmt.Errorf("ask the agent: %w", err)
	}
	defer release()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", address)
	if err != nil {
		path := filepath.Join(dir, File)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return out, fmt.Errorf("no agent runs on %s (no one answers on %s)", dir, path)
		}
		if errors.Is(err, fs.ErrPermission) {
			return out, fmt.Errorf("%s belongs to the agent's user; be that user, or root", path)
		}
		return out, fmt.Errorf("ask the agent on %s: %w", path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = conn.Close() }() // the answer is read, or the error told
	b, err := json.Marshal(c)
	if err != nil {
		return out, fmt.Errorf("ask the agent: %w", err)
	}
	if len(b) >= wire.MaxCommandBytes {
		return out, fmt.Errorf("ask the agent: a command of %d bytes; at most %d", len(b), wire.MaxCommandBytes-1)
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return out, fmt.Errorf("ask the agent: %w", err)
	}
	if err := json.NewDecoder(bufio.NewReader(conn)).Decode(&out); err != nil {
		if ctx.Err() != nil {
			return out, fmt.Errorf("ask the agent: no answer: %w", ctx.Err())
		}
		return out, fmt.Errorf("read the agent's answer: %w", err)
	}
	if out.Schema != wire.SchemaResult {
		return out, fmt.Errorf("the agent's answer has schema %.60q, not %s", out.Schema, wire.SchemaResult)
	}
	return out, nil
}
