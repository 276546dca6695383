package wal

import (
	"testing"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

func saved(t *testing.T, m *protos.SavedMessage) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What a log means to its writer after a crash.
func TestRecoverLog(t *testing.T) {
	block := func(view, seq uint64) []byte {
		return saved(t, &protos.SavedMessage{Content: &protos.SavedMessage_ProposedRecord{ProposedRecord: &protos.ProposedRecord{
			PrePrepare: &protos.PrePrepare{View: view, Seq: seq, Proposal: &protos.Proposal{}}, Prepare: &protos.Prepare{View: view, Seq: seq},
		}}})
	}
	voted := saved(t, &protos.SavedMessage{Content: &protos.SavedMessage_Commit{Commit: &protos.Message{}}})
	newView := func(v uint64) []byte {
		return saved(t, &protos.SavedMessage{Content: &protos.SavedMessage_NewView{NewView: &protos.ViewMetadata{ViewId: v}}})
	}
	for _, tc := range []struct {
		name       string
		content    [][]byte
		last       uint64
		keeps, own bool
		view, seq  uint64
	}{
		{"empty", nil, 0, false, false, 0, 0},
		{"a block under way", [][]byte{block(0, 5)}, 4, true, true, 0, 5},
		{"a block that is stored", [][]byte{block(0, 5)}, 5, false, false, 0, 5},
		{"a vote for a stored block", [][]byte{block(0, 5), voted}, 5, true, false, 0, 5},
		{"a vote for a block under way", [][]byte{block(0, 5), voted}, 4, true, true, 0, 5},
		{"a new view", [][]byte{block(0, 5), voted, newView(2)}, 5, true, false, 2, 5},
		{"a block of a later view", [][]byte{block(3, 6)}, 5, true, true, 3, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Recover(tc.content, tc.last)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Content) > 0 != tc.keeps || (r.Own != nil) != tc.own || r.View != tc.view || r.Seq != tc.seq {
				t.Errorf("%d entries, own %v, view %d, seq %d", len(r.Content), r.Own != nil, r.View, r.Seq)
			}
		})
	}
	if _, err := Recover([][]byte{{0xff}}, 0); err == nil {
		t.Error("garbage was accepted")
	}
}
