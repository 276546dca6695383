package nnet

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"testing"

	"fairwatt/model"
)

// The agents' file is what Live makes of the whole one, and scores the same.
func TestLiveFileIsTheWholeOnes(t *testing.T) {
	w, err := ShippedWeights()
	if err != nil {
		t.Fatal(err)
	}
	want := marshal(t, w.Live())
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		_, err = z.Write(want)
		if err := errors.Join(err, z.Close(), os.WriteFile("weights/hazard-1-live.fwnn.gz", b.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := liveFile(); err != nil || !bytes.Equal(want, got) {
		t.Fatal("weights/hazard-1-live.fwnn.gz is not what Live makes of weights/hazard-1.fwnn.gz (FAIRWATT_UPDATE=1 writes it)")
	}
	live, err := LiveWeights()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range live.Heads {
		if h.EvaluationOnly {
			t.Errorf("%s is not used live", h.Name)
		}
		whole := w.named(h.Name)
		var f model.Features
		for i := range f.X {
			f.X[i] = float32(i%7) - 3
		}
		p, ok := h.Probability(&f)
		q, _ := whole.Probability(&f)
		if p != q || !ok || h.Warn != whole.Warn {
			t.Errorf("%s: %g with the agents' file, %g with the whole one", h.Name, p, q)
		}
	}
	if len(live.Heads) < 7 {
		t.Errorf("%d heads are live", len(live.Heads))
	}
}
