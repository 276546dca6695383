package ledger_test

import (
	"bytes"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

func fuzzChain(f *testing.F) *ledgertest.Chain {
	f.Helper()
	w := newWorld(f, nil)
	w.toEscrowed()
	return w.Chain
}

func FuzzParseGenesis(f *testing.F) {
	b, err := ledgertest.Genesis(2, 1, 1).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ledger.ParseGenesis(b)
		if err != nil {
			return
		}
		again, err := g.Marshal()
		if err != nil || !bytes.Equal(again, bytes.TrimSuffix(b, []byte("\n"))) {
			t.Errorf("accepted another form: %v", err)
		}
	})
}

// FuzzRecord takes every signature as verified, so that the fuzzer gets behind
// that check: a block can be built of whatever passes the rest.
func FuzzRecord(f *testing.F) {
	c := fuzzChain(f)
	for _, cb := range c.Blocks {
		_, _, records, err := ledger.DecodeBlock(cb.Block)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(records[0])
	}
	always := ledger.WithVerified(func([32]byte) bool { return true })
	f.Fuzz(func(t *testing.T, sealed []byte) {
		st, dropped, err := c.State.Build(c.Fields(), [][]byte{sealed}, always)
		if err != nil || len(st.Records())+len(dropped) != 1 {
			t.Fatalf("%v", err)
		}
		if _, err := c.State.Verify(st.Block(), always); err != nil {
			t.Fatalf("own block refused: %v", err)
		}
	})
}

func FuzzBlock(f *testing.F) {
	c := fuzzChain(f)
	for _, cb := range c.Blocks {
		f.Add(cb.Block)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		if st, err := c.State.Verify(block); err == nil && !bytes.Equal(st.Block(), block) {
			t.Error("another form of a block was accepted")
		}
	})
}

func FuzzCertificate(f *testing.F) {
	c := fuzzChain(f)
	_, hash, _, err := ledger.DecodeBlock(c.Blocks[0].Block)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Blocks[0].Certificate)
	f.Fuzz(func(t *testing.T, cert []byte) {
		if _, err := ledger.VerifyCertificate(c.Genesis, hash, cert); err == nil && !bytes.Equal(cert, c.Blocks[0].Certificate) {
			t.Error("a forged certificate was accepted")
		}
	})
}

func FuzzExportLine(f *testing.F) {
	c := fuzzChain(f)
	for _, cb := range c.Blocks {
		line, err := ledger.EncodeExportLine(cb)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		cb, err := ledger.DecodeExportLine(line)
		if err != nil {
			return
		}
		again, err := ledger.EncodeExportLine(&fairwattpb.CertifiedBlock{Block: cb.Block, Certificate: cb.Certificate})
		if err != nil || !bytes.Equal(again, line) {
			t.Errorf("accepted another form: %v", err)
		}
	})
}

func FuzzStateValues(f *testing.F) {
	for _, e := range fuzzChain(f).State.Entries() {
		f.Add(e.Value)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ledger.DecodeAny(b, func(again []byte) {
			if !bytes.Equal(again, b) {
				t.Errorf("%x became %x", b, again)
			}
		})
	})
}
