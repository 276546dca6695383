package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"fairwatt/proto/fairwattpb"
)

const vectorsFile = "../../docs/ledger-vectors.json"

// A vector is what a decoder of records must make of some bytes.
type vector struct {
	Kind string `json:"kind"`
	// Record is the content, in protobuf's JSON; absent where the bytes must be refused.
	Record  json.RawMessage `json:"record,omitempty"`
	Payload string          `json:"payload_hex"`
	Refused string          `json:"refused,omitempty"` // why
}

// filled gives every field of a message a value that is not its default and not that of
// its neighbours.
func filled(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil && !f.HasOptionalKeyword() {
			continue // the caller chooses
		}
		if !f.IsList() {
			m.Set(f, valueOf(m, f, depth, 0))
			continue
		}
		list := m.Mutable(f).List()
		for n := range 2 {
			if f.Message() != nil {
				one := list.NewElement()
				filled(one.Message(), depth+1)
				list.Append(one)
				continue
			}
			list.Append(valueOf(m, f, depth, n))
		}
	}
}

func valueOf(m protoreflect.Message, f protoreflect.FieldDescriptor, depth, n int) protoreflect.Value {
	number := int64(f.Number())*1000 + int64(depth)*100 + int64(n) + 1
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(f.Name()) + "-" + string(rune('a'+n)))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{byte(number)}, 32))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(f.Enum().Values().Get(min(1+n, f.Enum().Values().Len()-1)).Number())
	case protoreflect.MessageKind:
		v := m.NewField(f)
		filled(v.Message(), depth+1)
		return v
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(number))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(number)
	}
	return protoreflect.ValueOfUint64(uint64(number))
}

// makeVectors has one record of every kind, with every field set, and what must be refused.
func makeVectors(t *testing.T) (out []vector) {
	t.Helper()
	d := (&fairwattpb.Record{}).ProtoReflect().Descriptor()
	bodies := d.Oneofs().ByName("body").Fields()
	var deposit []byte
	for i := range bodies.Len() {
		f := bodies.Get(i)
		r := &fairwattpb.Record{}
		filled(r.ProtoReflect(), 0)
		body := r.ProtoReflect().NewField(f)
		filled(body.Message(), 0)
		r.ProtoReflect().Set(f, body)
		b, err := marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer // protojson puts spaces by chance
		if err := json.Compact(&compact, text); err != nil {
			t.Fatal(err)
		}
		out = append(out, vector{Kind: Kind(r), Record: compact.Bytes(), Payload: hex.EncodeToString(b)})
		if f.Name() == "deposit" {
			deposit = b
		}
	}
	_, _, n := protowire.ConsumeField(deposit)
	again := append(append([]byte(nil), deposit...), deposit[:n]...)
	swapped := append(append([]byte(nil), deposit[n:]...), deposit[:n]...)
	long := append(append([]byte(nil), deposit[:1]...), deposit[1]|0x80, 0)
	for _, bad := range []struct {
		why string
		b   []byte
	}{
		{"a field stands twice", again},
		{"the fields do not ascend", swapped},
		{"a length is not in its shortest form", append(long, deposit[2:]...)},
		{"an unknown field", protowire.AppendVarint(protowire.AppendTag(append([]byte(nil), deposit...), 5000, protowire.VarintType), 1)},
		{"a scalar field with its default value", append(protowire.AppendVarint(protowire.AppendTag(append([]byte(nil), deposit[:n]...), 3, protowire.VarintType), 0), deposit[n:]...)},
		{"cut off", deposit[:len(deposit)-1]},
	} {
		out = append(out, vector{Kind: "deposit", Payload: hex.EncodeToString(bad.b), Refused: bad.why})
	}
	return out
}

// TestVectors keeps docs/ledger-vectors.json true: each record of it decodes to what stands
// there, and encodes to the same bytes again; what must be refused is. FAIRWATT_UPDATE=1
// writes it.
func TestVectors(t *testing.T) {
	var want bytes.Buffer
	want.WriteString("[")
	for i, v := range makeVectors(t) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			want.WriteByte(',')
		}
		want.WriteByte('\n')
		want.Write(b)
	}
	want.WriteString("\n]\n")
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if err := os.WriteFile(vectorsFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the code makes; run with FAIRWATT_UPDATE=1 and look at the difference", vectorsFile)
	}
	var vectors []vector
	if err := json.Unmarshal(got, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		b, err := hex.DecodeString(v.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var r, said fairwattpb.Record
		if err := unmarshal(b, &r); (err != nil) != (v.Refused != "") {
			t.Errorf("%s %s: %v", v.Kind, v.Refused, err)
		}
		if v.Refused != "" {
			continue
		}
		if err := protojson.Unmarshal(v.Record, &said); err != nil || !proto.Equal(&r, &said) || Kind(&r) != v.Kind {
			t.Errorf("%s decodes to something else (%v)", v.Kind, err)
		}
	}
}
