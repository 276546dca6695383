package faultdoc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const page = "# x\n<!-- faults: a -->\nold\n<!-- end -->\nmiddle\n<!-- faults: b -->\n<!-- end -->\n"

func TestReplace(t *testing.T) {
	got, err := Replace(page, "b", []Row{{"chip gone", "BLOCKED by E16"}})
	want := strings.Replace(page, "<!-- faults: b -->\n", "<!-- faults: b -->\n| fault | reaction |\n|---|---|\n| chip gone | BLOCKED by E16 |\n", 1)
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	for _, c := range []struct {
		page, section string
		rows          []Row
	}{{page, "c", nil}, {"<!-- faults: a -->\n", "a", nil}, {page, "a", []Row{{"a|b", "c"}}}, {page, "a", []Row{{"a", ""}}}} {
		if _, err := Replace(c.page, c.section, c.rows); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestCheckTellsAndUpdates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := Check(path, "a", nil); err == nil {
		t.Error("a page that is not there was accepted")
	}
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	rows := []Row{{"f", "r"}}
	t.Setenv("FAIRWATT_UPDATE", "")
	if err := Check(path, "a", rows); err == nil {
		t.Error("another table was accepted")
	}
	t.Setenv("FAIRWATT_UPDATE", "1")
	if err := Check(path, "a", rows); err != nil {
		t.Error(err)
	}
	t.Setenv("FAIRWATT_UPDATE", "")
	if err := Check(path, "a", rows); err != nil {
		t.Errorf("what was written is not accepted: %v", err)
	}
}
