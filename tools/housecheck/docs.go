package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	linkTo   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// aPath is a path from the top of the tree. One with <, {, $ or an ellipsis is a pattern for people.
	aPath = regexp.MustCompile(`^[\w.*-]+(?:/[\w.*-]+)*/?$`)
	// namesIn is how the docs say where functions or types are.
	namesIn = regexp.MustCompile("((?:`[A-Za-z_]\\w*`(?:,\\s+|\\s+and\\s+))*`[A-Za-z_]\\w*`)\\s+in\\s+`([\\w./-]+\\.go)`")
	aName   = regexp.MustCompile("\\w+")
)

// docs checks the paths, links and names in the Markdown files.
func (h *house) docs(dir string, files []string) ([]string, error) {
	var bad []string
	for _, name := range files {
		if !strings.HasSuffix(name, ".md") || strings.Contains(name, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read doc: %w", err)
		}
		prose := withoutBlocks(string(text))
		for _, span := range codeSpan.FindAllStringSubmatch(prose, -1) {
			if h.isPath(span[1]) && !exists(dir, span[1]) {
				bad = append(bad, fmt.Sprintf("%s names %s, which is not there", name, span[1]))
			}
		}
		for _, link := range linkTo.FindAllStringSubmatch(prose, -1) {
			if why := brokenLink(dir, name, link[1]); why != "" {
				bad = append(bad, fmt.Sprintf("%s links to %s: %s", name, link[1], why))
			}
		}
		for _, pair := range namesIn.FindAllStringSubmatch(prose, -1) {
			source, err := os.ReadFile(filepath.Join(dir, pair[2]))
			if err != nil {
				continue // said above
			}
			for _, what := range aName.FindAllString(pair[1], -1) {
				if what != "and" && !regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|type |var |const |\t)`+what+`\b`).Match(source) {
					bad = append(bad, fmt.Sprintf("%s says that %s is in %s, and it is not", name, what, pair[2]))
				}
			}
		}
	}
	return bad, nil
}

// isPath reports code that names a place in the tree: it has a slash and begins
// with a folder of the top level.
func (h *house) isPath(code string) bool {
	top, rest, ok := strings.Cut(code, "/")
	if !ok || rest == "" && top != ".ci" || !aPath.MatchString(code) || strings.Contains(code, "...") {
		return false
	}
	for _, name := range h.topLevel {
		if name == top {
			return true
		}
	}
	return false
}

func exists(dir, name string) bool {
	found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(name)))
	return err == nil && len(found) > 0
}

// brokenLink says why a relative link leads nowhere, or "".
func brokenLink(dir, from, to string) string {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
	}
	if !exists(dir, target) {
		return "no such file"
	}
	if anchor == "" || !strings.HasSuffix(target, ".md") {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(dir, target))
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(withoutBlocks(string(text))) {
		if heading := strings.TrimLeft(line, "#"); heading != line && slug(heading) == anchor {
			return ""
		}
	}
	return "no such heading"
}

// slug is a heading's anchor: small letters and digits, hyphens for spaces.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// withoutBlocks empties fenced blocks: what stands there is an example.
func withoutBlocks(text string) string {
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			line = "\n"
		}
		if fenced {
			line = "\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

// planned checks that the page of the house names every package.
func (h *house) planned(dir string, packages []*listed) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, h.plan))
	if err != nil {
		return nil, fmt.Errorf("read the plan of the house: %w", err)
	}
	var bad []string
	for _, p := range packages {
		if !strings.Contains(string(text), "`"+p.path+"`") {
			bad = append(bad, fmt.Sprintf("%s does not name %s", h.plan, p.path))
		}
	}
	return bad, nil
}
