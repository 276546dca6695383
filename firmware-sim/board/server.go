package board

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/sensor/simbus"
	pb "fairwatt/proto/fairwattpb"
)

// maxClients bounds the connections served at once; more are closed.
const maxClients = 32

// Serve gives the board's buses to clients of l until ctx ends, then closes l
// and all connections and returns nil. Requests of all clients are carried out
// one at a time. A client that breaks the protocol is cut off.
func Serve(ctx context.Context, l net.Listener, b *Board) error {
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	closeAll := func() {
		_ = l.Close() // we are ending; its error says nothing more
		mu.Lock()
		defer mu.Unlock()
		for c := range conns {
			_ = c.Close()
		}
	}
	stop := context.AfterFunc(ctx, closeAll)
	var wg sync.WaitGroup
	defer func() {
		stop()
		closeAll()
		wg.Wait()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		mu.Lock()
		full := len(conns) >= maxClients || ctx.Err() != nil
		if !full {
			conns[conn] = true
		}
		mu.Unlock()
		if full {
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			serveConn(conn, b)
			mu.Lock()
			delete(conns, conn)
			mu.Unlock()
			_ = conn.Close()
		})
	}
}

// serveConn answers until the connection ends or sends something unreadable.
// The outputs that it drove float then.
func serveConn(conn net.Conn, b *Board) {
	defer b.release(conn)
	r := bufio.NewReader(conn)
	for {
		var req pb.BusRequest
		if err := simbus.ReadFrame(r, &req); err != nil {
			return
		}
		if err := simbus.WriteFrame(conn, b.answer(conn, &req)); err != nil {
			return
		}
	}
}

// answer carries out one request of a client. Every failure is in the reply.
func (b *Board) answer(client any, req *pb.BusRequest) *pb.BusReply {
	rep := &pb.BusReply{}
	if err := b.perform(client, req, rep); err != nil {
		kind := pb.BusError_KIND_BAD_REQUEST
		var nack *simbus.NotAcknowledgedError
		switch {
		case errors.As(err, &nack), errors.Is(err, syscall.ENXIO):
			kind = pb.BusError_KIND_NOT_ACKNOWLEDGED
		case errors.Is(err, simbus.ErrNoSuchPin):
			kind = pb.BusError_KIND_NO_SUCH_PIN
		case errors.Is(err, simbus.ErrNoSuchPort):
			kind = pb.BusError_KIND_NO_SUCH_PORT
		case errors.Is(err, os.ErrDeadlineExceeded):
			kind = pb.BusError_KIND_TIMEOUT
		}
		rep.Error = &pb.BusError{Kind: kind, Text: err.Error()}
	}
	rep.NowUs = b.Now().Microseconds()
	return rep
}

func (b *Board) perform(client any, req *pb.BusRequest, rep *pb.BusReply) error {
	if req.SleepUs > simbus.MaxSleepUs {
		return fmt.Errorf("sleep of %d us is longer than a day", req.SleepUs)
	}
	if err := b.Sleep(context.Background(), us(int64(req.SleepUs))); err != nil {
		return err
	}
	switch op := req.Op.(type) {
	case nil:
		return nil // a sleep alone
	case *pb.BusRequest_I2C:
		if len(op.I2C.W) > simbus.MaxTransferBytes || op.I2C.Read > simbus.MaxTransferBytes {
			return fmt.Errorf("transfer longer than %d bytes", simbus.MaxTransferBytes)
		}
		if op.I2C.Address > 0x3FF {
			return fmt.Errorf("address 0x%x has more than 10 bits", op.I2C.Address)
		}
		rep.R = make([]byte, op.I2C.Read)
		return b.tx(uint16(op.I2C.Address), op.I2C.W, rep.R)
	case *pb.BusRequest_PinCount:
		n, last, err := b.PulseCount(op.PinCount.Pin)
		rep.Pulses, rep.LastUs = n, last.Microseconds()
		return err
	case *pb.BusRequest_PinBins:
		since := min(max(op.PinBins.SinceUs, 0), int64(1)<<52)
		bins, end, err := b.PulseBins(op.PinBins.Pin, us(since))
		rep.Bins, rep.EndUs = bins, end.Microseconds()
		return err
	case *pb.BusRequest_PinEdge:
		return b.answerEdge(client, op.PinEdge, rep)
	case *pb.BusRequest_PinRead:
		pin, err := b.Pin(op.PinRead.Pin)
		if err != nil {
			return err
		}
		rep.High = bool(pin.Read())
		return nil
	case *pb.BusRequest_PinSet:
		return b.setPin(client, op.PinSet.Pin, gpio.Level(op.PinSet.High))
	case *pb.BusRequest_SerialWrite:
		if len(op.SerialWrite.Data) > simbus.MaxTransferBytes {
			return fmt.Errorf("frame longer than %d bytes", simbus.MaxTransferBytes)
		}
		return b.writeSerial(op.SerialWrite.Port, op.SerialWrite.Data)
	case *pb.BusRequest_SerialRead:
		p := make([]byte, min(op.SerialRead.Max, simbus.MaxTransferBytes))
		n, err := b.readSerial(op.SerialRead.Port, p, us(int64(min(op.SerialRead.TimeoutUs, simbus.MaxSleepUs))))
		rep.R = p[:n]
		return err
	case *pb.BusRequest_Describe:
		for _, p := range b.Describe() {
			part := &pb.BoardPart{Chip: p.Chip, Address: uint32(p.Address), Pin: p.Pin, Port: p.Port}
			for _, ch := range p.Channels {
				part.Channels = append(part.Channels, ch.String())
			}
			rep.Parts = append(rep.Parts, part)
		}
		return nil
	}
	return fmt.Errorf("unknown operation %T", req.Op)
}

// answerEdge gives the next edge of a pin with its time and number. Only ready and
// interrupt outputs live in the board's time; a pulse pin would keep the connection
// waiting, so it tells what has come since the client first asked.
func (b *Board) answerEdge(client any, op *pb.PinEdge, rep *pb.BusReply) error {
	timeout := us(int64(min(op.TimeoutUs, 1_000_000)))
	if b.irqs[op.Pin] != nil || b.feedbacks[op.Pin] != nil {
		rep.Edge = b.waitEdge(op.Pin, timeout)
		rep.LastUs = b.Now().Microseconds()
		return nil
	}
	line, err := b.edgesOf(client, op.Pin)
	if err != nil {
		return err
	}
	if line.chip != nil {
		if err := line.Await(timeout); err != nil {
			return err
		}
	}
	at, seq, ok, err := line.Take()
	rep.Edge, rep.LastUs, rep.Pulses = ok, at.Microseconds(), uint64(seq)
	return err
}

func us(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
