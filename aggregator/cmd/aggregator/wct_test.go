package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	oneCase   = `{"n":2,"t_e4":[9000,8500],"l":[1,2],"w_us":[[0,700],[900,0]],"wt":1,"wl":1,"t_thre_e4":8000,"w_thre_us":8000}`
	oneAnswer = `{"algorithm":"wct","sequence":[1,0],"root":1,"edges":[[1,0]],"unattached":[],"trust_sum_e4":8500,"trust":0.85,` +
		`"time_level_us":900,"time_exact_us":900,"time_busy_us":900,"concurrency_level":1,"concurrency_exact":1,"depth":1,` +
		`"edges_over_w_thre":0,"coverage":0.85,"j":2,"expensive_demoted":0}` + "\n"
)

func runWCT(stdin string, args ...string) (string, error) {
	cmd := wctCommand()
	var out bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"build"}, args...))
	err := cmd.Execute()
	return out.String(), err
}

func TestWCTBuildReadsOneObjectOrALineEach(t *testing.T) {
	spread := strings.ReplaceAll(oneCase, ",", ",\n  ")
	file := filepath.Join(t.TempDir(), "case.json")
	if err := os.WriteFile(file, []byte(spread), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"one line", oneCase + "\n", nil, oneAnswer},
		{"spread over lines", spread, nil, oneAnswer},
		{"a case a line", oneCase + "\n" + oneCase + "\n", []string{"--in", "-"}, oneAnswer + oneAnswer},
		{"a file", "", []string{"--in", file, "--algorithm", "wct"}, oneAnswer},
	} {
		got, err := runWCT(c.stdin, c.args...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got != c.want {
			t.Errorf("%s: got %s want %s", c.name, got, c.want)
		}
	}
}

func TestWCTBuildNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", nil, "case 1: no input"},
		{oneCase + "\n{\"n\":0}", nil, "case 2: missing field t_e4"},
		{oneCase + "\n{\"n\":", nil, "case 2: unexpected EOF"},
		{strings.Replace(oneCase, "9000", "10001", 1), nil, "case 1: t_e4[0] is 10001, want 0 to 10000"},
		{oneCase, []string{"--algorithm", "mst"}, "want wct, lft, tft or oct"},
		{oneCase, []string{"--in", "no such file"}, "open tree input"},
	} {
		if _, err := runWCT(c.stdin, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %s", c.args, err, c.want)
		}
	}
	// What came before the bad case has been answered.
	if out, _ := runWCT(oneCase + "\n{}"); out != oneAnswer {
		t.Errorf("before the bad case: %q", out)
	}
}

func TestWCTBuildOCT(t *testing.T) {
	out, err := runWCT(oneCase, "--algorithm", "oct")
	if err != nil || !strings.Contains(out, `"algorithm":"oct"`) || !strings.Contains(out, `"edges":[[1,0]]`) {
		t.Errorf("%s, error %v", out, err)
	}
}

func TestWCTExperimentWritesFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	var out, errOut bytes.Buffer
	args := []string{"wct", "experiment", "--figure", "table2", "--seeds", "1", "--out", dir}
	if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	b, err := os.ReadFile(filepath.Join(dir, "table2.csv"))
	if err != nil || !strings.Contains(string(b), "uniform,50,best found") || !strings.Contains(out.String(), "table2.csv") {
		t.Errorf("%v, %s", err, out.String())
	}
	for _, c := range [][]string{
		{"--figure", "5"}, {"--seeds", "0"}, {"--seeds", "100001"}, {"--workers", "0"}, {"more"},
	} {
		if code := run(t.Context(), append([]string{"wct", "experiment", "--out", dir}, c...), strings.NewReader(""), &out, &errOut); code != 2 {
			t.Errorf("%v: exit %d, want 2", c, code)
		}
	}
}

func TestWCTDraw(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tree.svg")
	for _, algorithm := range []string{"wct", "lft", "tft", "oct"} {
		var out, errOut bytes.Buffer
		args := []string{"wct", "draw", "--algorithm", algorithm, "--out", file}
		if code := run(t.Context(), args, strings.NewReader(oneCase), &out, &errOut); code != 0 {
			t.Fatalf("%s: exit %d: %s", algorithm, code, errOut.String())
		}
		b, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(b), "<svg") || !strings.Contains(string(b), "("+algorithm+")") {
			t.Errorf("%s: %v, %s", algorithm, err, b)
		}
	}
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"wct", "draw"}, strings.NewReader(oneCase), &out, &errOut); code != 0 || !strings.HasPrefix(out.String(), "<svg") {
		t.Errorf("standard output: exit %d, %s", code, out.String())
	}
	for _, c := range []struct{ stdin, file string }{{"{}", "-"}, {"", "-"}, {"", filepath.Join(t.TempDir(), "none.json")}} {
		if code := run(t.Context(), []string{"wct", "draw", "--in", c.file}, strings.NewReader(c.stdin), &out, &errOut); code != 1 {
			t.Errorf("%+v: exit %d, want 1", c, code)
		}
	}
}
