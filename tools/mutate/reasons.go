package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A reason says why a mutant may survive.
type reason struct {
	mutant mutant // without place
	text   string
	line   int
}

// readReasons reads the file of reasons; its form is in the package's
// documentation. Lines that begin with # are comments.
func readReasons(r io.Reader) (map[string]*reason, error) {
	reasons := make(map[string]*reason)
	var pkg, fn, before string
	again := 1
	var last *reason
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		word, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		rest = strings.TrimSpace(rest)
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		if rest == "" {
			return nil, fmt.Errorf("line %d: nothing after %q", n, word)
		}
		switch word {
		case "package":
			pkg, fn, before, last = rest, "", "", nil
		case "func":
			fn, before, last = rest, "", nil
		case "var": // a function literal in a variable
			fn, before, last = "var "+rest, "", nil
		case "-":
			before, again, last = rest, 1, nil
			if cut := strings.LastIndex(rest, " #"); cut > 0 {
				if number, err := strconv.Atoi(rest[cut+2:]); err == nil {
					before, again = rest[:cut], number
				}
			}
		case "+":
			if pkg == "" || fn == "" || before == "" {
				return nil, fmt.Errorf("line %d: a change needs package, func and - before it", n)
			}
			last = &reason{mutant: mutant{Package: pkg, Function: fn, Before: before, After: rest, Again: again}, line: n}
			if key := last.mutant.key(); reasons[key] != nil {
				return nil, fmt.Errorf("line %d: the change of line %d again", n, reasons[key].line)
			}
			reasons[last.mutant.key()] = last
		case "=":
			if last == nil {
				return nil, fmt.Errorf("line %d: a reason needs a change before it", n)
			}
			last.text = strings.TrimSpace(last.text + " " + rest)
		default:
			return nil, fmt.Errorf("line %d: %q is none of package, func, var, -, +, =", n, word)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read reasons: %w", err)
	}
	for _, r := range reasons {
		if r.text == "" {
			return nil, fmt.Errorf("line %d: a change without a reason", r.line)
		}
	}
	return reasons, nil
}
