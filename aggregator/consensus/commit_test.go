package consensus

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"

	"fairwatt/proto/fairwattpb"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// Splitting a block finds what decoding finds, and garbage is an error where it
// is one for decoding.
func TestSplitIsDecoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.Byte(), 1, 20)
		raw, err := proto.Marshal(&fairwattpb.Block{Header: some.Draw(t, "header"), Records: rapid.SliceOfN(some, 0, 5).Draw(t, "records")})
		if err != nil {
			t.Fatal(err)
		}
		raw = raw[:rapid.IntRange(0, len(raw)).Draw(t, "cut")]
		if len(raw) > 0 && rapid.Bool().Draw(t, "spoil") {
			raw[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		want := &fairwattpb.Block{}
		bad := proto.Unmarshal(raw, want)
		header, records, err := split(raw)
		if (err != nil) != (bad != nil) {
			t.Fatalf("split: %v, decode: %v", err, bad)
		}
		if err == nil && (!bytes.Equal(header, want.Header) || !slices.EqualFunc(records, want.Records, bytes.Equal)) {
			t.Fatalf("split: %x %x, decoded: %x %x", header, records, want.Header, want.Records)
		}
	})
}

// A record is checked once by its submitter, and once by each other DA that gets
// it. Submit does not check it again.
func TestRecordIsCheckedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.startAll()
		for range 20 {
			c.submit("da2", 100) // hands them to da1, which leads
		}
		c.allDecided(c.names...)
		for name, want := range map[string]int64{"da1": 20, "da2": 0, "da3": 0, "da4": 0} {
			if got := c.apps[name].checks.Load(); got != want {
				t.Errorf("%s: %d records checked, want %d", name, got, want)
			}
		}
		if p := c.node("da2").Stats().Pending; p != 0 {
			t.Errorf("%d decided records are still pending", p)
		}
	})
}
