package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// writePages writes a program's completions and manual pages into a folder: from what
// it says of itself, so that they cannot differ from it.
func writePages(name, path, stamp, to string, at time.Time) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "man"), 0o755); err != nil {
		return err
	}
	b, err := native()
	if err != nil {
		return err
	}
	program := filepath.Join(to, name)
	if err := build(path, stamp, program, b); err != nil {
		return err
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := output(exec.Command(program, "completion", shell))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, shell), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := writeManual(program, []string{name}, "", stamp, filepath.Join(to, "man"), at); err != nil {
		return err
	}
	return os.Remove(program)
}

// subcommand finds the commands that a help text lists.
var subcommand = regexp.MustCompile(`(?m)^  ([a-z][a-z0-9-]*)  *(\S.*)$`)

// writeManual writes the page of one command, and those of the commands below it.
func writeManual(program string, command []string, short, stamp, to string, at time.Time) error {
	help, err := output(exec.Command(program, append(command[1:len(command):len(command)], "--help")...))
	if err != nil {
		return err
	}
	below := ""
	if _, list, ok := strings.Cut(help, "\nAvailable Commands:\n"); ok {
		below, _, _ = strings.Cut(list, "\n\n")
	}
	var others []string
	for _, m := range subcommand.FindAllStringSubmatch(below, -1) {
		if m[1] == "help" || m[1] == "completion" {
			continue
		}
		others = append(others, m[1])
		if err := writeManual(program, append(command[:len(command):len(command)], m[1]), m[2], stamp, to, at); err != nil {
			return err
		}
	}
	page, err := manual(command, short, help, others, stamp, at)
	if err != nil {
		return err
	}
	return writeGzip(filepath.Join(to, strings.Join(command, "-")+".1.gz"), []byte(page), at)
}

// manual makes a manual page, man(7), of a help text as cobra writes it. short is the
// line for its name; empty: the first of the help.
func manual(command []string, short, help string, others []string, stamp string, at time.Time) (string, error) {
	about, rest, ok := strings.Cut(help, "\nUsage:\n")
	if !ok {
		return "", fmt.Errorf("%s --help has no line \"Usage:\"", strings.Join(command, " "))
	}
	title := strings.Join(command, "-")
	more := strings.TrimSpace(about)
	if short == "" {
		short, more, _ = strings.Cut(more, "\n")
	}
	var page strings.Builder
	fmt.Fprintf(&page, ".TH %s 1 %s %q fairwatt\n.SH NAME\n%s \\- %s\n", strings.ToUpper(title), at.Format("2006-01-02"), "fairwatt "+stamp,
		title, roff(strings.TrimSuffix(short, ".")))
	sections := strings.Split("Usage:\n"+rest, "\n\n")
	for _, section := range sections[:1] {
		_, usage, _ := strings.Cut(section, "\n")
		fmt.Fprintf(&page, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(unindent(usage)))
	}
	if more = strings.TrimSpace(more); more != "" {
		page.WriteString(".SH DESCRIPTION\n")
		for i, paragraph := range strings.Split(more, "\n\n") {
			if i > 0 {
				page.WriteString(".PP\n")
			}
			page.WriteString(roff(paragraph) + "\n")
		}
	}
	for _, section := range sections[1:] {
		name, body, ok := strings.Cut(section, "\n")
		if !ok || !strings.HasSuffix(name, ":") { // the last line, which points to --help
			continue
		}
		fmt.Fprintf(&page, ".SH %s\n.nf\n%s\n.fi\n", strings.ToUpper(strings.TrimSuffix(name, ":")), roff(strings.TrimRight(unindent(body), "\n")))
	}
	if see := others; len(see) > 0 || len(command) > 1 {
		page.WriteString(".SH SEE ALSO\n")
		var all []string
		if len(command) > 1 {
			all = append(all, fmt.Sprintf(".BR %s (1)", roff(strings.Join(command[:len(command)-1], "-"))))
		}
		for _, o := range see {
			all = append(all, fmt.Sprintf(".BR %s (1)", roff(title+"-"+o)))
		}
		page.WriteString(strings.Join(all, " ,\n") + "\n")
	}
	return page.String(), nil
}

// roff keeps text from being read as requests.
func roff(text string) string {
	text = strings.ReplaceAll(text, `\`, `\e`)
	text = strings.ReplaceAll(text, "-", `\-`)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// unindent takes two spaces away from the left.
func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// writeGzip writes a compressed file that is the same each time.
func writeGzip(path string, b []byte, at time.Time) error {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	w.ModTime = at
	_, err = w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o644)
}
