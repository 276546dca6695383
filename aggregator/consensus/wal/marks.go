package wal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// This file keeps what this node knows of others: how much each of them has signed that
// it had said.

// maxMarks bounds the file: the marks of some thousand members.
const maxMarks = 1 << 20

// marksHead is a sum over the rest, and how long that is.
const marksHead = sha256.Size + 4

func (d Dir) marks(turn uint64) string {
	return filepath.Join(string(d), fmt.Sprintf("marks-%d", turn%2))
}

// PutMarks keeps the newest marks of the others, by their ids. Two files take turns, so a
// process that ends while it writes leaves the one before. They are not synced: a mark is
// worth no wait of the disk, and only a power cut loses it.
func (d Dir) PutMarks(turn uint64, marks map[string][]byte) error {
	raw, err := encodeMarks(marks)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("write marks: %w", err)
	}
	// What is left of a longer file behind it does no harm.
	f, err := os.OpenFile(d.marks(turn), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write marks: %w", err)
	}
	_, err = f.WriteAt(raw, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write marks: %w", err)
	}
	return nil
}

// Marks reads what PutMarks has kept, of both turns: which of two marks is the newer one
// their reader knows. A file that was not written whole counts for nothing.
func (d Dir) Marks() ([2]map[string][]byte, error) {
	var out [2]map[string][]byte
	for turn := range out {
		raw, err := os.ReadFile(d.marks(uint64(turn)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("read marks: %w", err)
		}
		out[turn] = decodeMarks(raw)
	}
	return out, nil
}

func encodeMarks(marks map[string][]byte) ([]byte, error) {
	body, err := json.Marshal(marks)
	if err != nil {
		return nil, fmt.Errorf("encode marks: %w", err)
	}
	if len(body) > maxMarks {
		return nil, fmt.Errorf("encode marks: %d bytes, at most %d", len(body), maxMarks)
	}
	body = append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	sum := sha256.Sum256(body)
	return append(sum[:], body...), nil
}

// decodeMarks returns nil for what is not whole.
func decodeMarks(raw []byte) map[string][]byte {
	if len(raw) < marksHead {
		return nil
	}
	size := binary.BigEndian.Uint32(raw[sha256.Size:])
	if size > maxMarks || uint64(len(raw)) < marksHead+uint64(size) {
		return nil
	}
	raw = raw[:marksHead+size]
	if sum := sha256.Sum256(raw[sha256.Size:]); string(sum[:]) != string(raw[:sha256.Size]) {
		return nil
	}
	var marks map[string][]byte
	if json.Unmarshal(raw[marksHead:], &marks) != nil {
		return nil
	}
	return marks
}
