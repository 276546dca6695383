package snapshot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/snapshot"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/peerpb"
)

// changed is a chain of 20 blocks in epochs of 4: da-5 joins, da-2 changes its key and
// da-1 leaves. at is called after each block.
func changed(t testing.TB, at func(c *ledgertest.Chain)) *ledgertest.Chain {
	t.Helper()
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 4
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		sender := "seller-1"
		record := &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{
			GateSeq: uint64(i) + 1, State: fairwattpb.GateState_GATE_STATE_OPEN}}}
		switch i {
		case 1:
			sender, record = ledgertest.Centre, c.Admit("da-5")
		case 2:
			sender, record = "da-5", &fairwattpb.Record{Body: &fairwattpb.Record_Rejoin{Rejoin: &fairwattpb.Rejoin{Epoch: c.State.Epoch()}}}
		case 4:
			sender, record = "da-2", c.Rekey("da-2", "da-2-2")
		case 11:
			sender, record = ledgertest.Centre, c.Retire("da-1")
		}
		sealed, err := c.Seal(sender, record)
		if err == nil {
			_, err = c.Advance(sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
		if at != nil {
			at(c)
		}
	}
	return c
}

// of is the snapshot behind the newest block.
func of(t testing.TB, c *ledgertest.Chain) *snapshot.Snapshot {
	t.Helper()
	turns, err := c.State.TurnsBelow(c.State.Height(), func(h uint64) (*fairwattpb.CertifiedBlock, error) { return c.Blocks[h-1], nil })
	if err != nil {
		t.Fatal(err)
	}
	return &snapshot.Snapshot{Chain: c.State.ChainID(), Turns: turns, Block: c.Blocks[len(c.Blocks)-1], Entries: c.State.Entries()}
}

// taken are the snapshots of all epochs' ends, and the members behind each block.
func taken(t testing.TB) (c *ledgertest.Chain, ends []*snapshot.Snapshot, inside *snapshot.Snapshot, sets []*members.Set) {
	t.Helper()
	c = changed(t, func(c *ledgertest.Chain) {
		sets = append(sets, c.State.Members())
		if c.State.EpochFirstHeight() == c.State.Height()+1 {
			ends = append(ends, of(t, c))
		} else {
			inside = of(t, c)
		}
	})
	return c, ends, inside, sets
}

func write(t testing.TB, s *snapshot.Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSnapshotOfEachEpoch: what is written is read and holds, whoever asks: from the
// genesis, or from any block before it.
func TestSnapshotOfEachEpoch(t *testing.T) {
	c, ends, _, sets := taken(t)
	if len(ends) < 4 {
		t.Fatalf("%d ends of epochs", len(ends))
	}
	changes := 0
	for _, s := range ends {
		b := write(t, s)
		back, err := snapshot.Read(bytes.NewReader(b), c.State.ChainID())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(write(t, back), b) {
			t.Fatal("written again it is another")
		}
		state, err := back.Verify(c.Genesis, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for h := uint64(1); h < state.Height(); h++ {
			if _, err := back.Verify(c.Genesis, sets[h-1], h); err != nil {
				t.Errorf("block %d, from block %d: %v", state.Height(), h, err)
			}
		}
		if _, err := back.Verify(c.Genesis, sets[state.Height()-1], state.Height()); err == nil || !strings.Contains(err.Error(), "here already") {
			t.Errorf("from its own block: %v", err)
		}
		changes = len(s.Turns)
		for _, cb := range c.Blocks[state.Height():] { // the blocks after it fit
			st, err := state.VerifyCertified(cb)
			if err == nil {
				err = state.Commit(st)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if state.Root() != c.State.Root() {
			t.Error("another state")
		}
	}
	if changes != 3 {
		t.Errorf("the last has %d changes of members, want 3", changes)
	}
}

// TestLies: a snapshot of which anything is changed, left out or of elsewhere is refused.
func TestLies(t *testing.T) {
	c, ends, inside, sets := taken(t)
	last := func() *snapshot.Snapshot {
		s := *ends[len(ends)-1]
		s.Turns, s.Entries = slices.Clone(s.Turns), slices.Clone(s.Entries)
		s.Block = proto.Clone(s.Block).(*fairwattpb.CertifiedBlock)
		return &s
	}
	entry := func(s *snapshot.Snapshot, key string) *ledger.Entry {
		i := slices.IndexFunc(s.Entries, func(e ledger.Entry) bool { return string(e.Key) == key })
		if i < 0 {
			t.Fatalf("no entry %s", key)
		}
		s.Entries[i].Value = bytes.Clone(s.Entries[i].Value)
		return &s.Entries[i]
	}
	for name, lie := range map[string]struct {
		change func(s *snapshot.Snapshot)
		why    string
	}{
		"one more unit in a wallet": {func(s *snapshot.Snapshot) { entry(s, "account/buyer-1").Value[7]++ }, "root of its entries"},
		"an entry less":             {func(s *snapshot.Snapshot) { s.Entries = s.Entries[1:] }, "root of its entries"},
		"an entry more": {func(s *snapshot.Snapshot) {
			s.Entries = append(s.Entries, ledger.Entry{Key: []byte("zz/1"), Value: []byte{}})
		}, "root of its entries"},
		"no meta": {func(s *snapshot.Snapshot) {
			s.Entries = slices.DeleteFunc(s.Entries, func(e ledger.Entry) bool { return string(e.Key) == "meta" })
		}, "no meta"},
		"the entries of another epoch": {func(s *snapshot.Snapshot) { s.Entries = ends[0].Entries }, "entries are of height"},
		"the block of another epoch":   {func(s *snapshot.Snapshot) { s.Block = ends[len(ends)-2].Block }, "is of block 15"},
		"a change of members left out": {func(s *snapshot.Snapshot) { s.Turns = s.Turns[:2] }, "certificate: 3 votes"},
		"all changes left out":         {func(s *snapshot.Snapshot) { s.Turns = nil }, "certificate: vote of"},
		"changes swapped":              {func(s *snapshot.Snapshot) { s.Turns[1], s.Turns[2] = s.Turns[2], s.Turns[1] }, "change 2"},
		"a change twice":               {func(s *snapshot.Snapshot) { s.Turns = append(s.Turns[:1], s.Turns...) }, "change 2"},
		"other members in a change": {func(s *snapshot.Snapshot) {
			s.Turns[2] = proto.Clone(s.Turns[2]).(*fairwattpb.Turn)
			s.Turns[2].Members = s.Turns[2].Members[1:]
		}, "change 3"},
		"a certificate of another block":    {func(s *snapshot.Snapshot) { s.Block.Certificate = c.Blocks[3].GetCertificate() }, "another block"},
		"a record of another block with it": {func(s *snapshot.Snapshot) { s.Block.Block = mixed(t, s.Block.GetBlock(), c.Blocks[5].GetBlock()) }, "records of block"},
		"a snapshot of inside an epoch":     {func(s *snapshot.Snapshot) { *s = *inside }, "not the last of its epoch"},
		"a block that is none":              {func(s *snapshot.Snapshot) { s.Block.Block = []byte{1, 2, 3} }, "block"},
	} {
		s := last()
		lie.change(s)
		back, err := snapshot.Read(bytes.NewReader(write(t, s)), c.State.ChainID())
		if err == nil {
			_, err = back.Verify(c.Genesis, nil, 0)
		}
		if err == nil || !strings.Contains(err.Error(), lie.why) {
			t.Errorf("%s: %v, want %q", name, err, lie.why)
		}
	}
	if _, err := last().Verify(c.Genesis, sets[0], 18); err == nil || !strings.Contains(err.Error(), "here they are") {
		t.Errorf("for one that knows other members: %v", err)
	}
	if _, err := last().Verify(c.Genesis, sets[9], 2); err == nil || !strings.Contains(err.Error(), "here they are") {
		t.Errorf("for one that knows other members before a change: %v", err)
	}
	if _, err := snapshot.Read(bytes.NewReader(write(t, last())), [32]byte{1}); err == nil || !strings.Contains(err.Error(), "of chain") {
		t.Errorf("of another chain: %v", err)
	}
}

// mixed is a block with the records of another.
func mixed(t *testing.T, block, other []byte) []byte {
	t.Helper()
	_, _, mine, err := ledger.DecodeBlock(block)
	if err != nil {
		t.Fatal(err)
	}
	_, _, theirs, err := ledger.DecodeBlock(other)
	if err != nil || len(mine) != 1 || len(theirs) != 1 || len(mine[0]) > 0x7fff {
		t.Fatalf("%d and %d records, %v", len(mine), len(theirs), err)
	}
	at := bytes.Index(block, mine[0])
	head := block[:at]
	for k := 1; k <= 3; k++ { // without the old length
		if head[len(head)-k] == 0x12 {
			head = head[:len(head)-k]
			break
		}
	}
	out := append(bytes.Clone(head), 0x12)
	for n := len(theirs[0]); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, theirs[0]...)
}

// TestDamage: no byte of a snapshot may be another, missing or one too many.
func TestDamage(t *testing.T) {
	c, ends, _, _ := taken(t)
	b := write(t, ends[len(ends)-1])
	for at := 0; at < len(b); at += 7 {
		broken := bytes.Clone(b)
		broken[at] ^= 0x10
		if _, err := snapshot.Read(bytes.NewReader(broken), c.State.ChainID()); err == nil {
			t.Errorf("byte %d: read", at)
		}
		if _, err := snapshot.Read(bytes.NewReader(b[:at]), c.State.ChainID()); err == nil {
			t.Errorf("cut off at %d: read", at)
		}
	}
	if _, err := snapshot.Read(bytes.NewReader(append(bytes.Clone(b), 0)), c.State.ChainID()); err == nil || !strings.Contains(err.Error(), "behind its end") {
		t.Errorf("a byte more: %v", err)
	}
	s := *ends[0]
	s.Entries = slices.Clone(s.Entries)
	s.Entries[0], s.Entries[1] = s.Entries[1], s.Entries[0]
	if _, err := snapshot.Read(bytes.NewReader(write(t, &s)), c.State.ChainID()); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("entries out of order: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	c, ends, _, _ := taken(f)
	f.Add(write(f, ends[0]))
	f.Add([]byte(snapshot.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := snapshot.Read(bytes.NewReader(b), c.State.ChainID())
		if err != nil {
			return
		}
		if !bytes.Equal(write(t, s), b) {
			t.Error("read, and written otherwise")
		}
		if state, err := s.Verify(c.Genesis, nil, 0); err == nil && state.Height() == 0 {
			t.Error("holds, of no block")
		}
	})
}

// TestFolder: a bounded number is kept, the newest is handed out in pieces, and what a
// crash left aside is no snapshot.
func TestFolder(t *testing.T) {
	c, ends, _, _ := taken(t)
	dir := snapshot.Folder(filepath.Join(t.TempDir(), "snapshots"))
	if p, err := dir.Piece(&peerpb.SnapshotRequest{}); err != nil || p.GetHeight() != 0 {
		t.Fatalf("of an empty folder: %v, %v", p, err)
	}
	for k, s := range ends[:3] {
		if err := dir.Keep(uint64(k+1)*100, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"00000000000000000900.snapshot.new", "900.snapshot", "x.snapshot"} {
		if err := os.WriteFile(filepath.Join(string(dir), name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if heights, err := dir.Heights(); err != nil || !slices.Equal(heights, []uint64{200, 300}) {
		t.Fatalf("kept are %v, %v", heights, err)
	}
	ask := func(_ context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
		return dir.Piece(req)
	}
	path := filepath.Join(t.TempDir(), "got")
	if err := snapshot.Fetch(t.Context(), ask, 300, path, func(uint64, uint64) {}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(path, c.State.ChainID())
	if err != nil || !bytes.Equal(write(t, s), write(t, ends[2])) {
		t.Errorf("fetched is another: %v", err)
	}
	if err := snapshot.Fetch(t.Context(), ask, 100, path, func(uint64, uint64) {}); err == nil || errors.Is(err, snapshot.ErrBroken) {
		t.Errorf("of one that is gone: %v", err)
	}
}

// TestFetchFromLiars: a source that says otherwise than it does is given up at once.
func TestFetchFromLiars(t *testing.T) {
	big := make([]byte, 3*snapshot.MaxPiece/2)
	honest := func(req *peerpb.SnapshotRequest) *peerpb.SnapshotPiece {
		rest := big[req.GetOffset():]
		return &peerpb.SnapshotPiece{Height: req.GetHeight(), Size: uint64(len(big)), Data: rest[:min(len(rest), snapshot.MaxPiece)]}
	}
	for name, lie := range map[string]func(req *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece){
		"":                  func(*peerpb.SnapshotRequest, *peerpb.SnapshotPiece) {},
		"another height":    func(_ *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece) { p.Height++ },
		"huge":              func(_ *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece) { p.Size = snapshot.MaxBytes + 1 },
		"a piece too long":  func(_ *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece) { p.Data = big },
		"pieces of nothing": func(_ *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece) { p.Data = nil },
		"it grows":          func(req *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece) { p.Size += req.GetOffset() },
		"more than it said": func(_ *peerpb.SnapshotRequest, p *peerpb.SnapshotPiece) { p.Size = 10 },
	} {
		path := filepath.Join(t.TempDir(), "got")
		asked := 0
		err := snapshot.Fetch(t.Context(), func(_ context.Context, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
			asked++
			p := honest(req)
			lie(req, p)
			return p, nil
		}, 7, path, func(uint64, uint64) {})
		_, stat := os.Stat(path)
		left, globErr := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if globErr != nil {
			t.Fatal(globErr)
		}
		if name == "" {
			got, readErr := os.ReadFile(path)
			if err != nil || readErr != nil || sha256.Sum256(got) != sha256.Sum256(big) {
				t.Errorf("honest: %v, %v", err, readErr)
			}
			continue
		}
		if !errors.Is(err, snapshot.ErrBroken) || stat == nil || len(left) != 0 || asked > 2 {
			t.Errorf("%s: %v after %d questions; left are %v", name, err, asked, left)
		}
	}
	want := fmt.Errorf("gone")
	err := snapshot.Fetch(t.Context(), func(context.Context, *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) { return nil, want }, 7,
		filepath.Join(t.TempDir(), "got"), func(uint64, uint64) {})
	if !errors.Is(err, want) || errors.Is(err, snapshot.ErrBroken) {
		t.Errorf("a source that is gone: %v", err)
	}
}

// vector is docs/snapshot-vector.json.
type vector struct {
	Note      string          `json:"note"`
	Genesis   json.RawMessage `json:"genesis"`
	Snapshot  string          `json:"snapshot"` // hex
	Height    uint64          `json:"height"`
	Epoch     uint64          `json:"epoch"` // the next block's
	StateRoot string          `json:"state_root"`
	Members   []string        `json:"members"` // who vote for the next block
}

// TestVector: the vector in the docs is what the code writes, and reads.
func TestVector(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "snapshot-vector.json")
	c, ends, _, _ := taken(t)
	s := ends[2]
	state, err := s.Verify(c.Genesis, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := c.Genesis.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	root := state.Root()
	want, err := json.MarshalIndent(vector{Note: "a snapshot behind block 11 of a chain of test keys: da-5 has joined, da-2 has another key", Genesis: genesis, Snapshot: hex.EncodeToString(write(t, s)),
		Height: state.Height(), Epoch: state.Epoch(), StateRoot: hex.EncodeToString(root[:]), Members: state.Members().Names()}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, want) {
		t.Fatalf("%s is not what the code writes: FAIRWATT_UPDATE=1 go test ./aggregator/snapshot; %v", path, err)
	}
	if len(s.Turns) != 2 {
		t.Errorf("%d changes of members", len(s.Turns))
	}
}
