package peer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Bounds of what one call may ask.
const (
	maxFetchBlocks   = 4096
	maxSubmitRecords = 1024
)

// service is the answering side. Who may call what is decided here and by the
// certificate alone.
type service struct {
	peerpb.UnimplementedPeerServer
	g    *GRPC
	stop <-chan struct{}
}

func (s *service) aggregator(ctx context.Context) (string, error) {
	name, err := caller(ctx)
	if err != nil {
		return "", err
	}
	if _, ok := s.g.peer(name); !ok {
		return "", status.Errorf(codes.PermissionDenied, "%q is no data aggregator of this chain", name)
	}
	return name, nil
}

func (s *service) participant(ctx context.Context) (string, error) {
	name, err := caller(ctx)
	if err != nil {
		return "", err
	}
	if !s.g.observes(name) {
		return "", status.Errorf(codes.PermissionDenied, "%q is no data aggregator and no observer of this chain", name)
	}
	return name, nil
}

// live returns a context that also ends when the server stops.
func (s *service) live(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (s *service) Stream(stream grpc.ClientStreamingServer[peerpb.Packet, peerpb.StreamEnd]) error {
	from, err := s.aggregator(stream.Context())
	if err != nil {
		return err
	}
	h := s.g.handlers.Load()
	if h.Frame == nil {
		return status.Error(codes.Unimplemented, "no frames taken here")
	}
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	own := s.g.replaceStream(from)
	defer close(own.ended)
	r, ok := s.g.peer(from)
	if !ok {
		return status.Errorf(codes.PermissionDenied, "%q is no data aggregator of this chain", from)
	}
	q := r.queue
	packets, failed := make(chan []byte), make(chan error, 1)
	go func() {
		for {
			packet, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case packets <- packet.GetFrame():
			case <-stream.Context().Done(): // the handler has returned, or will
				return
			}
		}
	}()
	if own.before != nil { // frames keep their order over the change of streams
		select {
		case <-own.before:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
	for {
		select {
		case <-own.stop:
			return status.Error(codes.Aborted, "another stream of this data aggregator has come")
		case <-stream.Context().Done(): // the reader may have found no one to tell
			return stream.Context().Err()
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return stream.SendAndClose(&peerpb.StreamEnd{})
			}
			return err
		case frame := <-packets:
			q.received()
			h.Frame(from, frame)
		}
	}
}

func (s *service) Pull(ctx context.Context, ref *peerpb.PullRequest) (*peerpb.PullReply, error) {
	from, err := s.aggregator(ctx)
	if err != nil {
		return nil, err
	}
	h := s.g.handlers.Load()
	if h.Pull == nil {
		return nil, status.Error(codes.Unimplemented, "no pulls answered here")
	}
	relay, err := h.Pull(from, ref)
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return &peerpb.PullReply{Relay: relay}, nil
}

func (s *service) Fetch(req *peerpb.FetchRequest, stream grpc.ServerStreamingServer[fairwattpb.CertifiedBlock]) error {
	if _, err := s.participant(stream.Context()); err != nil {
		return err
	}
	h := s.g.handlers.Load()
	if h.Fetch == nil {
		return status.Error(codes.Unimplemented, "no blocks served here")
	}
	if req.From == 0 || req.To < req.From {
		return status.Errorf(codes.InvalidArgument, "blocks %d to %d", req.From, req.To)
	}
	ctx, cancel := s.live(stream.Context())
	defer cancel()
	return archived(h.Fetch(ctx, req.From, min(req.To, req.From+maxFetchBlocks-1), stream.Send))
}

func (s *service) Follow(req *peerpb.FollowRequest, stream grpc.ServerStreamingServer[fairwattpb.CertifiedBlock]) error {
	if _, err := s.participant(stream.Context()); err != nil {
		return err
	}
	h := s.g.handlers.Load()
	if h.Follow == nil {
		return status.Error(codes.Unimplemented, "nothing to follow here")
	}
	if req.From == 0 {
		return status.Error(codes.InvalidArgument, "block 0: blocks count from 1")
	}
	ctx, cancel := s.live(stream.Context())
	defer cancel()
	return archived(h.Follow(ctx, req.From, stream.Send))
}

func (s *service) Snapshot(ctx context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	if _, err := s.participant(ctx); err != nil {
		return nil, err
	}
	h := s.g.handlers.Load()
	if h.Snapshot == nil {
		return nil, status.Error(codes.Unimplemented, "no snapshots here")
	}
	return h.Snapshot(req)
}

func (s *service) Submit(ctx context.Context, req *peerpb.SubmitRequest) (*peerpb.SubmitReply, error) {
	from, err := s.participant(ctx)
	if err != nil {
		return nil, err
	}
	h := s.g.handlers.Load()
	if h.Submit == nil {
		return nil, status.Error(codes.Unimplemented, "no records taken here")
	}
	if len(req.Sealed) > maxSubmitRecords {
		return nil, status.Errorf(codes.InvalidArgument, "%d records, at most %d a call", len(req.Sealed), maxSubmitRecords)
	}
	ctx, cancel := s.live(ctx)
	defer cancel()
	reply := &peerpb.SubmitReply{}
	for _, sealed := range req.Sealed {
		result := &peerpb.SubmitResult{Accepted: true}
		if err := h.Submit(ctx, from, sealed); err != nil {
			result = &peerpb.SubmitResult{Retry: temporary(err), Reason: err.Error()}
			var r interface{ Refused() (code, reason string) }
			if errors.As(err, &r) {
				result.Code, result.Reason = r.Refused()
			}
		}
		reply.Results = append(reply.Results, result)
	}
	return reply, nil
}

// archived gives the error of blocks that are not kept a code of its own, for who asks.
func archived(err error) error {
	if errors.Is(err, wire.ErrArchived) {
		return status.Error(codes.OutOfRange, err.Error())
	}
	return err
}

// gone is the inverse of archived.
func gone(err error) error {
	if status.Code(err) == codes.OutOfRange {
		return fmt.Errorf("%w: %w", wire.ErrArchived, err)
	}
	return err
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
