package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// quarrelDir is the data directory of a chain on which da-3 has reported that da-2 kept
// its blocks back.
func quarrelDir(t *testing.T) string {
	t.Helper()
	g := ledgertest.Genesis(4, 1, 1)
	g.Params.EpochBlocks = 1
	return dataDir(t, g, 1, func(c *ledgertest.Chain, _ int) ([]byte, error) {
		return c.Seal("da-3", &fairwattpb.Record{Body: &fairwattpb.Record_Report{Report: &fairwattpb.Report{
			Epoch: 1, Seen: []*fairwattpb.Seen{{Da: "da-2", Missed: 12, Taken: 1, OverheadUs: 1500}},
		}}})
	})
}

func runTree(args ...string) (string, error) {
	root := rootCommand()
	root.SilenceErrors, root.SilenceUsage = true, true
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{"tree", "why"}, args...))
	err := root.Execute()
	return out.String(), err
}

// `tree why` tells the trust, the step and the report it stands on, from a folder and
// from a page.
func TestTreeWhy(t *testing.T) {
	dir := quarrelDir(t)
	text, err := runTree("--da", "da-2", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"da-2, at height 1, epoch 2", "trust             0.8400; the tree counts with 0.8400; it is trusted from 0.8000 on",
		"it is in dispute with da-3 over blocks that did not arrive", "in block 1", "with da-3, 1 times; costs 0.0100 now",
		"1 0 12 0 1500 (epoch 1)", "tree built anew   after block 1: edges",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	asJSON, err := runTree("--da", "da-2", "--data", dir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var w ledger.Standing
	if err := json.Unmarshal([]byte(asJSON), &w); err != nil || w.TrustE4 != 8400 || w.Steps[0].RecordHeight != 1 || w.Disputes[0].With != "da-3" {
		t.Errorf("%v: %s", err, asJSON)
	}
	page := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/tree/why" || r.URL.Query().Get("da") != "da-2" {
			http.Error(out, `{"error":"no such data aggregator"}`, http.StatusNotFound)
			return
		}
		if err := json.NewEncoder(out).Encode(&w); err != nil {
			t.Error(err)
		}
	}))
	defer page.Close()
	asked, err := runTree("--da", "da-2", "--page", page.URL+"/")
	if err != nil || asked != text {
		t.Errorf("from the page: %v\n%s", err, asked)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--da and one of --page and --data are required", []string{"--da", "da-2"}},
		{"--da and one of --page and --data are required", []string{"--data", dir}},
		{"--da and one of --page and --data are required", []string{"--da", "da-2", "--data", dir, "--page", page.URL}},
		{`da: "da-9" is no data aggregator of this chain`, []string{"--da", "da-9", "--data", dir}},
		{"404 Not Found", []string{"--da", "da-9", "--page", page.URL}},
		{"ask the page: ", []string{"--da", "da-2", "--page", "http://127.0.0.1:1"}},
	} {
		if _, err := runTree(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}

// `tree why` says of what a data aggregator is guilty, for how long, and by which record.
func TestTreeWhyOfTheGuilty(t *testing.T) {
	dir := dataDir(t, ledgertest.Genesis(4, 1, 1), 1, func(c *ledgertest.Chain, _ int) ([]byte, error) {
		return c.Seal("da-3", ledgertest.Equivocation("da-2", c.BlockOf("da-2", 1, 0, 1, "a"), c.BlockOf("da-2", 1, 0, 1, "b")))
	})
	text, err := runTree("--da", "da-2", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"trust             0.0000", "its trust is nothing for 64 epochs more on which a quorum reports",
		"it signed two things for one place; the record has both", "in block 1", "3 in the sequence",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "who cannot all lie") {
		t.Errorf("it is in dispute with no one:\n%s", text)
	}
}
