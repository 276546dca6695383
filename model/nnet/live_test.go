package nnet

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
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
		// It packs 1 kB tighter, which the agents for the boards have a use for.
		zopfli := exec.Command("sh", "-c", "gzip -dc weights/hazard-1-live.fwnn.gz >weights/live && zopfli -c --i30 weights/live >weights/hazard-1-live.fwnn.gz; rm weights/live")
		if _, err := exec.LookPath("zopfli"); err != nil {
			t.Log("zopfli is not installed (Debian's package): the file is packed by gzip and 1 kB larger")
		} else if out, err := zopfli.CombinedOutput(); err != nil {
			t.Fatalf("zopfli: %v: %s", err, out)
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
