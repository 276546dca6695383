package faultdoc

import (
	"fmt"
	"os"
	"strings"
)

// A Row is one fault and the reaction that a test observed.
type Row struct{ Fault, Reaction string }

const end = "<!-- end -->"

// Check compares the section of the page at path with rows, or writes them
// into it when the environment has FAIRWATT_UPDATE.
func Check(path, section string, rows []Row) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("fault table: %w", err)
	}
	want, err := Replace(string(page), section, rows)
	if err != nil {
		return fmt.Errorf("fault table %s: %w", path, err)
	}
	if want == string(page) {
		return nil
	}
	if os.Getenv("FAIRWATT_UPDATE") == "" {
		return fmt.Errorf("fault table %s: section %s is not what was observed; run the test with FAIRWATT_UPDATE=1 and read the difference", path, section)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		return fmt.Errorf("fault table: %w", err)
	}
	return nil
}

// Replace returns the page with the rows of one section replaced.
func Replace(page, section string, rows []Row) (string, error) {
	begin := "<!-- faults: " + section + " -->\n"
	head, rest, ok := strings.Cut(page, begin)
	if !ok {
		return "", fmt.Errorf("no line %q", strings.TrimSpace(begin))
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("section %s has no line %q", section, end)
	}
	var b strings.Builder
	b.WriteString(head + begin + "| fault | reaction |\n|---|---|\n")
	for _, r := range rows {
		if strings.ContainsAny(r.Fault+r.Reaction, "|\n") || r.Fault == "" || r.Reaction == "" {
			return "", fmt.Errorf("row %q, %q: empty, or holds a bar or a line end", r.Fault, r.Reaction)
		}
		b.WriteString("| " + r.Fault + " | " + r.Reaction + " |\n")
	}
	return b.String() + end + tail, nil
}
