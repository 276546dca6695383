package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// An exportLine is one certified block of an export. Decoded is a view for
// people and scripts, computed from the two others.
type exportLine struct {
	Height      uint64          `json:"height"`
	Block       string          `json:"block"`
	Certificate string          `json:"certificate"`
	Decoded     json.RawMessage `json:"decoded"`
}

// EncodeExportLine returns the one line, without its newline, that stands for
// a certified block in an export. It decodes the block, but does not judge it.
func EncodeExportLine(cb *fairwattpb.CertifiedBlock) ([]byte, error) {
	header, hash, records, err := DecodeBlock(cb.GetBlock())
	if err != nil {
		return nil, err
	}
	cert := &fairwattpb.Certificate{}
	if err := unmarshal(cb.GetCertificate(), cert); err != nil {
		return nil, fmt.Errorf("%w: %w", errCertificate, err)
	}
	decoded, err := decodedView(header, hash, records, cert)
	if err != nil {
		return nil, err
	}
	return json.Marshal(exportLine{
		Height: header.Height, Block: base64.StdEncoding.EncodeToString(cb.GetBlock()),
		Certificate: base64.StdEncoding.EncodeToString(cb.GetCertificate()), Decoded: decoded,
	})
}

// DecodeExportLine is the inverse of [EncodeExportLine] and refuses, with what
// is wrong, every line EncodeExportLine would not write: other spacing, field
// order or base64, and a decoded form that is not the block's.
func DecodeExportLine(line []byte) (*fairwattpb.CertifiedBlock, error) {
	var l exportLine
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return nil, fmt.Errorf("not a JSON object of an export: %w", err)
	}
	strict := base64.StdEncoding.Strict()
	block, err := strict.DecodeString(l.Block)
	if err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	certificate, err := strict.DecodeString(l.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	cb := &fairwattpb.CertifiedBlock{Block: block, Certificate: certificate}
	again, err := EncodeExportLine(cb)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, line) {
		return nil, fmt.Errorf("byte %d is not what the block and certificate give (height, decoded form or spacing)", firstDifference(again, line))
	}
	return cb, nil
}

func decodedView(header *fairwattpb.BlockHeader, hash [32]byte, records [][]byte, cert *fairwattpb.Certificate) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"hash":"` + hex.EncodeToString(hash[:]) + `","header":`)
	if err := writeJSON(&b, header); err != nil {
		return nil, err
	}
	b.WriteString(`,"records":[`)
	for i, sealed := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		id := seal.ID(sealed)
		b.WriteString(`{"id":"` + hex.EncodeToString(id[:]) + `","record":`)
		_, payload, err := seal.Peek(sealed)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		r := &fairwattpb.Record{}
		if err := unmarshal(payload, r); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		if err := writeJSON(&b, r); err != nil {
			return nil, err
		}
		b.WriteByte('}')
	}
	b.WriteString(`],"votes":[`)
	for i, vote := range cert.Votes {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(vote.Da)
		if err != nil {
			return nil, err
		}
		b.Write(name)
	}
	b.WriteString(`]}`)
	return b.Bytes(), nil
}

// writeJSON writes a message as a JSON object: set fields in ascending order of
// number under their names in the schema, bytes in hex, enums by name, 64-bit
// integers as numbers. protojson is not used because its spacing is random by
// design.
func writeJSON(b *bytes.Buffer, m proto.Message) error {
	return writeMessage(b, m.ProtoReflect())
}

func writeMessage(b *bytes.Buffer, m protoreflect.Message) error {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	sort.Slice(fields, func(i, j int) bool { return fields[i].Number() < fields[j].Number() })
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + string(f.Name()) + `":`)
		v := m.Get(f)
		if !f.IsList() {
			if err := writeValue(b, f, v); err != nil {
				return err
			}
			continue
		}
		b.WriteByte('[')
		for j := range v.List().Len() {
			if j > 0 {
				b.WriteByte(',')
			}
			if err := writeValue(b, f, v.List().Get(j)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return nil
}

func writeValue(b *bytes.Buffer, f protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return writeMessage(b, v.Message())
	case protoreflect.BytesKind:
		b.WriteString(`"` + hex.EncodeToString(v.Bytes()) + `"`)
	case protoreflect.EnumKind:
		if known := f.Enum().Values().ByNumber(v.Enum()); known != nil {
			b.WriteString(`"` + string(known.Name()) + `"`)
		} else {
			b.WriteString(strconv.Itoa(int(v.Enum())))
		}
	case protoreflect.StringKind:
		text, err := json.Marshal(v.String())
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		b.Write(text)
	case protoreflect.BoolKind:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case protoreflect.Int64Kind:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		b.WriteString(strconv.FormatUint(v.Uint(), 10))
	default:
		return fmt.Errorf("%s: no JSON form for a %v", f.Name(), f.Kind())
	}
	return nil
}

// DecodedJSON returns the decoded form of a certified block, as it stands in
// its export line.
func DecodedJSON(cb *fairwattpb.CertifiedBlock) (json.RawMessage, error) {
	line, err := EncodeExportLine(cb)
	if err != nil {
		return nil, err
	}
	var l exportLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, err
	}
	return l.Decoded, nil
}
