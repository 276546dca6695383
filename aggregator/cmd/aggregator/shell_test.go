package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// This file and its script are the same, byte for byte, in the four programs.

// TestShell: the script that all four programs pass.
func TestShell(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files: []string{"testdata/shell/shell.txtar"},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PROGRAM", rootCommand().Name())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"wrong": wrongUsage},
	})
}

// wrongUsage is a script command: the program given ends with 2, prints nothing
// on stdout and one line on stderr.
func wrongUsage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: wrong PROGRAM [ARG...]")
	}
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		ts.Fatalf("%s: %v, want exit code 2", strings.Join(args, " "), err)
	}
	if out, said := ts.ReadFile("stdout"), ts.ReadFile("stderr"); out != "" || strings.Count(said, "\n") != 1 {
		ts.Fatalf("%s: %q on stdout, %q on stderr, want one line on stderr", strings.Join(args, " "), out, said)
	}
}

// Every key stands in every answer, so that a script needs no default.
func TestVersionKeys(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"version", "--json"}, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for key, zero := range map[string]any{
		"version": "", "revision": "", "time": "", "dirty": false, "modified": false, "go": "", "platform": "",
	} {
		value, there := got[key]
		if !there || fmt.Sprintf("%T", value) != fmt.Sprintf("%T", zero) || value == "" {
			t.Errorf("%s is %v (%T)", key, value, value)
		}
	}
}

func TestBuildOf(t *testing.T) {
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, c := range []struct {
		info *debug.BuildInfo
		want build
		text string
	}{
		{info(""), build{Version: "devel", Revision: "unknown"}, "p devel (revision unknown, "},
		{info("(devel)"), build{Version: "devel", Revision: "unknown"}, "p devel (revision unknown, "},
		{info("v1.2.3"), build{Version: "v1.2.3", Revision: "unknown"}, "p v1.2.3 (revision unknown, "},
		{info("v1.2.3", debug.BuildSetting{Key: "vcs.revision", Value: "abc"}, debug.BuildSetting{Key: "vcs.time", Value: "2026-05-04T03:02:01Z"},
			debug.BuildSetting{Key: "vcs.modified", Value: "false"}),
			build{Version: "v1.2.3", Revision: "abc", Time: at}, "p v1.2.3 (revision abc, "},
		{info("", debug.BuildSetting{Key: "vcs.revision", Value: "abc"}, debug.BuildSetting{Key: "vcs.time", Value: "yesterday"},
			debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			build{Version: "devel", Revision: "abc", Dirty: true, Modified: true}, "p devel (revision abc, modified, "},
	} {
		got := buildOf(c.info)
		if got.Version != c.want.Version || got.Revision != c.want.Revision || !got.Time.Equal(c.want.Time) ||
			got.Dirty != c.want.Dirty || got.Modified != c.want.Modified {
			t.Errorf("%+v: %+v, want %+v", c.info, got, c.want)
		}
		if text := got.text("p"); !strings.HasPrefix(text, c.text) || strings.Count(text, "\n") != 1 {
			t.Errorf("%+v: %q, want %q", c.info, text, c.text)
		}
	}
	withNetwork := build{Network: "n", Weights: "w v1", Heads: []string{"h", "i"}, Engine: "e"}
	if text := withNetwork.text("p"); !strings.HasSuffix(text, ")\nnetwork n\nweights w v1, heads h i\nengine e\n") {
		t.Errorf("with a network: %q", text)
	}
}

// --version says what the version command says, and a tag that was built in goes before
// what the toolchain knows.
func TestVersionFlag(t *testing.T) {
	before := version
	t.Cleanup(func() { version = before })
	version = "v1.2.3-4-gabc"
	for _, args := range [][]string{{"--version"}, {"version"}} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code != 0 || !strings.Contains(out.String(), "v1.2.3-4-gabc") {
			t.Errorf("%v: %d, %q, %q", args, code, &out, &errOut)
		}
	}
}
