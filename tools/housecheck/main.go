package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	dir := flag.String("dir", ".", "`folder` of the module")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := check(ctx, &fairwatt, *dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "housecheck:", err)
		os.Exit(1)
	}
}

// check prints every broken rule of the tree in dir; one broken rule is an error.
func check(ctx context.Context, h *house, dir string, out io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find folder: %w", err)
	}
	names, err := files(ctx, dir)
	if err != nil {
		return err
	}
	packages, err := list(ctx, dir, "")
	if err != nil {
		return err
	}
	bad := h.imports(packages)
	for _, tag := range h.tags {
		tagged, err := list(ctx, dir, tag)
		if err != nil {
			return err
		}
		bad = append(bad, h.imports(tagged)...)
	}
	for _, more := range []func() ([]string, error){
		func() ([]string, error) { return h.purity(ctx, dir, packages) },
		func() ([]string, error) { return h.tree(dir, names) },
		func() ([]string, error) { return h.docs(dir, names) },
		func() ([]string, error) { return h.planned(dir, packages) },
	} {
		found, err := more()
		if err != nil {
			return err
		}
		bad = append(bad, found...)
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		bad = slices.Compact(bad)
		fmt.Fprintln(out, strings.Join(bad, "\n"))
		return fmt.Errorf("%d rules of the house are broken", len(bad))
	}
	fmt.Fprintf(out, "house: in order, %d packages\n", len(packages))
	return nil
}

// relative is a file's path from dir.
func relative(dir, name string) string {
	if short, err := filepath.Rel(dir, name); err == nil {
		return filepath.ToSlash(short)
	}
	return name
}
