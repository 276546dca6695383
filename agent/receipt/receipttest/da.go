// Package receipttest makes data aggregators that sign receipts, for tests.
package receipttest

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// Chain is the id of the tests' chain.
var Chain = [32]byte{1, 2, 3}

// A DA is a data aggregator that signs receipts.
type DA struct {
	ID    string
	Key   ed25519.PrivateKey
	Chain [32]byte
}

// DAs returns n data aggregators and their keys by id.
func DAs(n int) ([]DA, map[string]ed25519.PublicKey) {
	var das []DA
	keys := make(map[string]ed25519.PublicKey)
	for i := range n {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i + 1)
		da := DA{fmt.Sprintf("da-%d", i+1), ed25519.NewKeyFromSeed(seed), Chain}
		das = append(das, da)
		keys[da.ID] = da.Key.Public().(ed25519.PublicKey)
	}
	return das, keys
}

// Receipt signs a receipt in the name of d.
func (d DA) Receipt(t testing.TB, height uint64, entries ...*fairwattpb.ReceiptEntry) []byte {
	t.Helper()
	return d.sign(t, &fairwattpb.Receipt{Height: height, Entries: entries})
}

// Busy signs in the name of d that records were not taken.
func (d DA) Busy(t testing.TB, height, from uint64, afterMs int64) []byte {
	t.Helper()
	return d.sign(t, &fairwattpb.Receipt{Height: height, Busy: &fairwattpb.Busy{FromCounter: from, RetryAfterMs: afterMs}})
}

func (d DA) sign(t testing.TB, r *fairwattpb.Receipt) []byte {
	t.Helper()
	r.ChainId, r.Da = d.Chain[:], d.ID
	payload, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(d.Key, d.ID, seal.DomainReceipt, d.Chain, payload)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
