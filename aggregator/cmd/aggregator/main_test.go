package main

import (
	"bytes"
	"os"
	"testing"

	"fairwatt/proto/wire"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aggregator": func() { os.Exit(program()) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

func TestParseMoney(t *testing.T) {
	for text, want := range map[string]int64{"1": 1_000_000, "25.50": 25_500_000, "0.000001": 1, "999999999999.999999": 999_999_999_999_999_999} {
		if got, err := wire.ParseMoney(text); err != nil || got != want {
			t.Errorf("wire.ParseMoney(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0.0", "-1", "+1", "1.", ".5", "1.0000001", "1e3", "1,5", "1.2.3", "1000000000000", " 1", "١"} {
		if got, err := wire.ParseMoney(text); err == nil {
			t.Errorf("wire.ParseMoney(%q) = %d", text, got)
		}
	}
}

// The files that explain the configuration are ones that can be read.
func TestExampleConfigurations(t *testing.T) {
	dir := "../../../configs/aggregator/"
	da := newDAConfig()
	if err := readConfig(dir+"da.yaml", &da); err != nil {
		t.Error(err)
	}
	var centre mcConfig
	if err := readConfig(dir+"mc.yaml", &centre); err != nil {
		t.Error(err)
	}
	if da.ID != "da-1" || da.LogLevel != "info" || centre.ID != "mc-1" {
		t.Errorf("%+v\n%+v", da, centre)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("id: da-1\nmqtt: [tcp://h:1]\n"))
	f.Add([]byte("id: !!binary x\n? [a]\n: &a *a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newDAConfig()
		if err := decodeConfig(bytes.NewReader(b), &c); err == nil {
			_ = c.finish("/x") // must not panic on whatever was read
		}
	})
}
