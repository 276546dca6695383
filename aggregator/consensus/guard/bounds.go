package guard

import (
	"google.golang.org/protobuf/encoding/protowire"

	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Bounds of a frame by what it carries. A member has many votes kept of it, and few
// blocks.
const (
	MaxFrameBytes = 64 << 20 // of any, the largest new view of many members
	smallBytes    = 4 << 10  // a vote, a heartbeat, a status
	voiceBytes    = 512      // a carried vote: its signature, and ids of all members
	recordsBytes  = 1 << 20
	aroundBytes   = 64 << 10 // what stands around a block: signatures, metadata, envelope
)

// most is how large a frame of a kind may be.
func (g Guard) most(kind string) int {
	viewData := 3*g.BlockBytes + aroundBytes // the last block and one in flight, each with its votes
	switch kind {
	case "records":
		return recordsBytes
	case "relay", "pre_prepare":
		return g.BlockBytes + aroundBytes
	case "view_data":
		return min(viewData, MaxFrameBytes)
	case "bundle":
		return smallBytes + len(g.Order)*voiceBytes
	case "new_view":
		return min(len(g.Order)*viewData, MaxFrameBytes)
	}
	return smallBytes
}

var (
	bodies   = oneof(&peerpb.Frame{}, "body")
	contents = oneof(&protos.Message{}, "content")
)

// oneof returns the names of a oneof's fields by number.
func oneof(m proto.Message, name string) map[protowire.Number]string {
	fields := m.ProtoReflect().Descriptor().Oneofs().ByName(protoreflect.Name(name)).Fields()
	out := make(map[protowire.Number]string)
	for i := range fields.Len() {
		out[fields.Get(i).Number()] = string(fields.Get(i).Name())
	}
	return out
}

// kindOf says what a frame carries, without a copy and without decoding it. ok is
// false for none, for more than one, and for what is no frame. A message that is
// none of the library's is just a message.
func kindOf(raw []byte) (kind string, ok bool) {
	kind, inner, ok := only(raw, bodies)
	if kind == "message" && ok {
		if content, _, one := only(inner, contents); one {
			kind = content
		}
	}
	return kind, ok
}

// only returns the one field of a oneof in an encoded message.
func only(raw []byte, names map[protowire.Number]string) (name string, value []byte, ok bool) {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return "", nil, false
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
			return "", nil, false
		}
		if this := names[number]; this != "" {
			if name != "" || kind != protowire.BytesType {
				return "", nil, false
			}
			name = this
			value, _ = protowire.ConsumeBytes(raw)
		}
		raw = raw[n:]
	}
	return name, value, name != ""
}
