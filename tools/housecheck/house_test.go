package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// town is the house of the tests.
var town = house{
	rooms: map[string]room{
		"model":              {floor: ground, side: middle, pure: true},
		"model/modeltest":    {floor: ground, side: middle, tests: true},
		"proto/pb":           {floor: ground, side: middle, plain: true},
		"proto/climb":        {floor: mains, side: middle},
		"agent/trade":        {floor: ground, side: agents, pure: true},
		"agent":              {floor: loops, side: agents},
		"agent/notyet":       {floor: loops, side: agents, pure: true},
		"aggregator":         {floor: loops, side: aggregates},
		"firmware-sim/board": {floor: edges, side: middle},
		"firmware-sim/grid":  {floor: both, side: middle},
	},
	allowed: map[exception]string{
		{"model", "os"}:         "reads files",
		{"agent/notyet", "net"}: "comes later",
	},
	across:   map[exception]string{{"agent", "proto/climb"}: "a climb with a reason"},
	doors:    map[string]string{"net/http": "proto/climb", "net/smtp": "proto/climb"},
	tags:     []string{"small"},
	plan:     "docs/page.md",
	topLevel: []string{"agent", "aggregator", "model", "firmware-sim", "proto", "docs", "go.mod", ".git*"},
}

// unpack writes an archive of testdata into a git repository of its own.
func unpack(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range archive.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		// The archives may not hold a path of one machine: the check would find it there.
		if err := os.WriteFile(path, bytes.ReplaceAll(f.Data, []byte("/HOME/"), []byte("/"+"home/")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return dir
}

func TestGood(t *testing.T) {
	var out bytes.Buffer
	if err := check(t.Context(), &town, unpack(t, "good.txtar"), &out); err != nil {
		t.Errorf("check: %v\n%s", err, out.String())
	}
}

// TestBad breaks each rule of imports, purity, names and docs at least once.
func TestBad(t *testing.T) {
	want := []string{
		"a test of agent/trade imports aggregator: one side knows nothing of the other",
		"agent imports aggregator: one side knows nothing of the other",
		"agent imports firmware-sim/grid: that runs up",
		"agent imports model/modeltest: that is for tests only",
		"agent/trade has no package comment",
		"agent/trade imports firmware-sim/board: that runs up",
		"agent/trade imports net/http: proto/climb is the only door to it",
		"aggregator imports net/smtp: proto/climb is the only door to it", // with the tag only
		"agent/trade/trade.go:14: agent/trade is pure, but its variable table holds a lock or an atomic value",
		"agent/trade/trade.go:21: agent/trade is pure, but uses time.Now",
		"agent/trade/trade.go:22: agent/trade is pure, but starts a goroutine",
		"agent/trade/trade.go:22: agent/trade is pure, but uses time.Sleep",
		"agent/trade/trade.go:23: agent/trade is pure, but uses time.Local",
		"agent/trade/trade.go:4: agent/trade is pure, but imports math/rand/v2",
		"agent/trade/trade.go:5: agent/trade is pure, but imports net/http",
		"docs/page.md does not name new",
		"docs/page.md links to #another-page: no such heading",
		"docs/page.md links to none.md: no such file",
		"docs/page.md links to page.md#no: no such heading",
		"docs/page.md names agent/none.go, which is not there",
		"docs/page.md names agent/none/*.go, which is not there",
		"docs/page.md says that None is in agent/agent.go, and it is not",
		"docs/page.md says that Nor is in agent/agent.go, and it is not",
		"firmware-sim/board imports agent/trade: the middle knows neither side",
		"model no longer uses os: take the exception out of house.go",
		"new stands on no floor: add it to house.go",
		"new/new.go is not in the fixed top level",
		"new/new.go:4: a path of one machine: /" + "home/s",
	}
	dir := unpack(t, "bad.txtar")
	// Go itself refuses circles, so the one between trade and board is cut for half of the check.
	board := filepath.Join(dir, "firmware-sim/board/board.go")
	up, err := os.ReadFile(board)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	run := func() {
		t.Helper()
		var out bytes.Buffer
		if err := check(t.Context(), &town, dir, &out); err == nil || !strings.Contains(err.Error(), "rules of the house are broken") {
			t.Fatalf("check: %v\n%s", err, out.String())
		}
		for line := range strings.Lines(out.String()) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	cut := bytes.ReplaceAll(up, []byte(`import _ "town/agent/trade"`), nil)
	if err := os.WriteFile(board, cut, 0o600); err != nil {
		t.Fatal(err)
	}
	run()
	if err := os.WriteFile(board, up, 0o600); err != nil {
		t.Fatal(err)
	}
	trade := filepath.Join(dir, "agent/trade/trade.go")
	text, err := os.ReadFile(trade)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(trade, bytes.ReplaceAll(text, []byte(`_ "town/firmware-sim/board"`), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	run()
	got := make(map[string]bool)
	for _, line := range found {
		got[line] = true
	}
	all := make(map[string]bool)
	for _, line := range want {
		all[line] = true
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestPureImportsPureOnly(t *testing.T) {
	h := &house{}
	pure := room{floor: edges, side: middle, pure: true}
	for _, c := range []struct {
		to   room
		want string
	}{
		{room{floor: ground, side: middle, pure: true}, ""},
		{room{floor: ground, side: middle, plain: true}, ""},
		{room{floor: edges, side: middle, pure: true}, ""},
		{room{floor: ground, side: middle}, "a pure package may import pure ones only"},
	} {
		if got := h.wrong(pure, c.to); got != c.want {
			t.Errorf("a pure package imports %+v: %q, want %q", c.to, got, c.want)
		}
	}
}

func TestTooLong(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	for _, c := range []struct {
		text, want string
	}{
		{"package p\n" + lines(599), ""},
		{"package p\n" + lines(600), "f.go has 601 lines, more than 600"},
		{"package p\n\nfunc f() {" + lines(79) + "}\n", ""},
		{"package p\n\nfunc f() {" + lines(80) + "}\n", "f.go:3: f has 81 lines, more than 80"},
	} {
		got, err := tooLong("f.go", []byte(c.text))
		if err != nil || strings.Join(got, "; ") != c.want {
			t.Errorf("%d lines: %q, %v, want %q", strings.Count(c.text, "\n"), got, err, c.want)
		}
	}
}

// TestFairwatt sees that the real table is one: every room on a side, no pure room
// that is for tests, and an exception only for a pure room.
func TestFairwatt(t *testing.T) {
	for path, r := range fairwatt.rooms {
		top, _, _ := strings.Cut(path, "/")
		if want := map[string]side{"agent": agents, "aggregator": aggregates}[top]; want != "" && r.side != want {
			t.Errorf("%s stands on %s, want %s", path, r.side, want)
		}
		if r.side == "" || r.pure && (r.tests || r.plain) {
			t.Errorf("%s: %s", path, fmt.Sprintf("%+v", r))
		}
	}
	for key, why := range fairwatt.allowed {
		if !fairwatt.rooms[key.pkg].pure || why == "" {
			t.Errorf("the exception %v needs a pure package and a reason", key)
		}
	}
}
