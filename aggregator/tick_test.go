package aggregator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// TestIdleChainEndsWhatIsDue: what ends by time ends on a chain on which no one sends
// anything: the accounting node asks for the block, and where it is dead the next of
// the sequence does.
func TestIdleChainEndsWhatIsDue(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
	w := newTown(t, testGenesis())
	t.Run("town", func(t *testing.T) {
		w.t = t
		w.startAll()
		seller := w.device("seller-1", "site-seller-1")
		expire := func(id string) {
			t.Helper()
			// On a loaded machine the offer may end before a block has it.
			var expiresMs int64
			for lead := 5 * time.Second; ; lead *= 2 {
				expiresMs = time.Now().Add(lead).UnixMilli()
				o := seller.send(&fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
					OfferId: id, VolumeWh: 5000, PriceMicroPerKwh: 150_000, ExpiresMs: expiresMs}}})
				if o.GetCode() != wire.CodeExpired || lead > time.Minute {
					applied(t, "offer", o)
					break
				}
			}
			// More than one may tick for the offer before, and the later one comes now.
			if block := awaitTick(t, w, "da-2", expiresMs); block == 0 {
				t.Fatal("no tick")
			}
			if offers := w.da("da-2").State().Offers(); len(offers) != 0 {
				t.Errorf("%+v", offers)
			}
		}
		expire("o-1")
		root := w.da("da-2").State().Order()[0]
		if root == "da-2" {
			root = w.da("da-2").State().Order()[1]
		}
		w.halt(root)
		expire("o-2")
	})
}

// awaitTick follows the chain from its end to a tick in a block of a time or later, and returns
// its height.
func awaitTick(t *testing.T, w *town, da string, fromMs int64) (height uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	state := w.da(da).State()
	found := errors.New("found")
	err := w.da(da).Follow(ctx, state.Height(), func(cb *fairwattpb.CertifiedBlock) error {
		header, _, records, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return err
		}
		for _, sealed := range records {
			_, payload, err := seal.Peek(sealed)
			if err != nil {
				return err
			}
			var r fairwattpb.Record
			if err := proto.Unmarshal(payload, &r); err != nil {
				return err
			}
			if r.GetTick() != nil && header.GetTimeMs() >= fromMs {
				height = header.GetHeight()
				return found
			}
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Fatalf("no tick: %v", err)
	}
	return height
}
