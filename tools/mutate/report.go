package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// An outcome is what one package's run came to.
type outcome struct {
	short   string
	untried int // do not compile with a switch
	skipped int // left out by the sample, the shard, the match or the time
	failing []string
	mutants []*mutant // tried
	fates   map[int]fate
	all     map[string]bool // the keys of all mutants
}

func (o *outcome) count(want ...fate) int {
	n := 0
	for _, m := range o.mutants {
		if slices.Contains(want, o.fates[m.ID]) {
			n++
		}
	}
	return n
}

func (o *outcome) killed() int { return o.count(killed, killedByHang) }

// share is killed of tried in percent; nothing tried is nothing killed.
func share(killed, tried int) float64 {
	if tried == 0 {
		return 0
	}
	return 100 * float64(killed) / float64(tried)
}

// total is killed, tried and the survivors without a reason.
func total(outcomes []*outcome, reasons map[string]*reason) (killed, tried, bare int) {
	for _, o := range outcomes {
		killed += o.killed()
		tried += len(o.mutants)
		for _, m := range o.survivors() {
			if reasons[m.key()] == nil {
				bare++
			}
		}
	}
	return killed, tried, bare
}

func (o *outcome) survivors() []*mutant {
	var list []*mutant
	for _, m := range o.mutants {
		if f := o.fates[m.ID]; f == survived || f == notCovered {
			list = append(list, m)
		}
	}
	return list
}

// stale lists the reasons that no survivor needs.
func stale(outcomes []*outcome, reasons map[string]*reason) []string {
	var list []*reason
	why := make(map[*reason]string)
	for _, o := range outcomes {
		fates := make(map[string]fate)
		for _, m := range o.mutants {
			fates[m.key()] = o.fates[m.ID]
		}
		for key, r := range reasons {
			if r.mutant.Package != o.short {
				continue
			}
			switch f := fates[key]; {
			case !o.all[key]:
				why[r] = "no such mutant"
			case f == killed || f == killedByHang:
				why[r] = "killed"
			default:
				continue
			}
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *reason) int { return a.line - b.line })
	lines := make([]string, 0, len(list))
	for _, r := range list {
		lines = append(lines, fmt.Sprintf("line %d: %s: %s, %s", r.line, why[r], r.mutant.Function, changeText(&r.mutant)))
	}
	return lines
}

// longest is how much of a statement's text the report shows.
const longest = 200

func changeText(m *mutant) string { return code(m.Before) + " -> " + afterText(m.After) }

func afterText(after string) string {
	if after == leftOut {
		return "left out"
	}
	return code(after)
}

// code is text as code in Markdown.
func code(text string) string {
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// report writes the page.
func report(w io.Writer, outcomes []*outcome, reasons map[string]*reason) error {
	var b strings.Builder
	b.WriteString("# Mutants\n\n")
	b.WriteString("`make mutate` wrote this page. It changes one expression or statement of the sources at a\n" +
		"time and runs the tests that reach it. A change that no test notices has survived.\n" +
		"[tools/mutate](../tools/mutate/doc.go) says what is changed and how the tried are drawn;\n" +
		"[reasons.txt](../tools/mutate/reasons.txt) holds the reasons.\n\n")
	b.WriteString("| package | tried | killed | of these by a hang | share | survived | not covered | not tried |\n")
	b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, o := range outcomes {
		fmt.Fprintf(&b, "| `%s` | %d | %d | %d | %.1f %% | %d | %d | %d |\n", o.short, len(o.mutants), o.killed(),
			o.count(killedByHang), share(o.killed(), len(o.mutants)), o.count(survived), o.count(notCovered), o.untried+o.skipped)
	}
	killed, tried, bare := total(outcomes, reasons)
	fmt.Fprintf(&b, "| in all | %d | %d | | %.1f %% | | | |\n", tried, killed, share(killed, tried))
	fmt.Fprintf(&b, "\nSurvivors without a reason: %d.\n", bare)
	for _, o := range outcomes {
		survivors := o.survivors()
		if len(survivors) == 0 && len(o.failing) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", o.short)
		for _, name := range o.failing {
			fmt.Fprintf(&b, "Left out, it fails without any mutant: `%s`\n\n", name)
		}
		for _, m := range survivors {
			text := "No reason given."
			if r := reasons[m.key()]; r != nil {
				text = r.text
			}
			covered, again := "", ""
			if o.fates[m.ID] == notCovered {
				covered = " (not covered)"
			}
			if m.Again > 1 {
				again = fmt.Sprintf(" (number %d)", m.Again)
			}
			fmt.Fprintf(&b, "- %s:%d `%s`: %s%s%s. %s\n", m.File, m.Line, m.Function, changeText(m), again, covered, text)
		}
	}
	if lines := stale(outcomes, reasons); len(lines) > 0 {
		b.WriteString("\n## Reasons that no survivor needs\n\n")
		for _, line := range lines {
			b.WriteString("- " + line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
