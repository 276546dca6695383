package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoted are what stands between backquotes in the first column of the tables.
func quoted(page string) (out []string) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// Each message that the troubleshooting page quotes is one that a program can say: its
// words, apart from what differs, stand in the code of a program, or are an operating
// system's or Mosquitto's own.
func TestTroubleshootingQuotesTheCode(t *testing.T) {
	b, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	messages := quoted(string(b))
	if len(messages) < 15 {
		t.Fatalf("%d messages: %q", len(messages), messages)
	}
	others := map[string]bool{"no space left on device": true, "Denied PUBLISH from": true}
	missing := map[string]bool{}
	for _, m := range messages {
		for part := range strings.SplitSeq(m, "...") {
			if part = strings.TrimSpace(part); part != "" && !others[part] {
				missing[part] = true
			}
		}
	}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || len(missing) == 0 {
			return err
		}
		if d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		code, err := os.ReadFile(path)
		for part := range missing {
			if strings.Contains(string(code), part) {
				delete(missing, part)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for part := range missing {
		t.Errorf("no program says %q", part)
	}
}
