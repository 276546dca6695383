package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"fairwatt/model"
	"fairwatt/model/nnet"
	"fairwatt/model/trace"
)

// maxFiles bounds a folder given as data; the traces are kept in memory as
// features, some 1 MB a site-year of hours.
const maxFiles = 1000

// traceFiles lists the traces under the given files and folders, in a fixed
// order: the weights depend on it.
func traceFiles(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		var files []string
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := strings.TrimSuffix(d.Name(), ".gz")
			if !d.IsDir() && (path == p || strings.HasSuffix(name, ".csv")) {
				files = append(files, path)
			}
			if len(out)+len(files) > maxFiles {
				return fmt.Errorf("more than %d traces", maxFiles)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read data: %w", err)
		}
		slices.SortFunc(files, func(a, b string) int { return strings.Compare(filepath.ToSlash(a), filepath.ToSlash(b)) })
		out = append(out, files...)
	}
	if len(out) == 0 {
		return nil, errors.New("no traces (*.csv, *.csv.gz) in the given data")
	}
	return out, nil
}

// loadSeries reads the traces into series, reporting progress.
func loadSeries(ctx context.Context, paths []string, progress func(done, total int)) ([]*nnet.Series, error) {
	out, err := loadApart(ctx, paths, progress)
	if err != nil {
		return nil, err
	}
	nnet.Region{}.Meet(out)
	return out, nil
}

// loadApart is loadSeries of sites that do not hear each other.
func loadApart(ctx context.Context, paths []string, progress func(done, total int)) ([]*nnet.Series, error) {
	files, err := traceFiles(paths)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	done := 0
	return readAll(ctx, files, func(f string) (*nnet.Series, error) {
		s, err := loadOne(f)
		mu.Lock()
		defer mu.Unlock()
		done++
		progress(done, len(files))
		return s, err
	})
}

// readAll reads files side by side, and returns what they hold in the files' order.
func readAll[T any](ctx context.Context, files []string, read func(path string) (T, error)) ([]T, error) {
	out := make([]T, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range files {
		group.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if out[i], err = read(f); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			return nil
		})
	}
	return out, group.Wait()
}

// loadOne reads one trace. The truth never goes through a sample.
func loadOne(path string) (_ *nnet.Series, err error) {
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	site := r.Meta().Site
	if site == "" {
		site = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".csv")
	}
	s := nnet.NewSeries(site)
	if p, ok := placeOf(r.Meta().Position, r.Meta().HasPosition, site); ok {
		s.SetPlace(p)
	}
	var sample model.Sample
	for {
		if err := r.Next(&sample); errors.Is(err, io.EOF) {
			return s, nil
		} else if err != nil {
			return nil, err
		}
		s.Add(&sample, thunderOf(r.Labels()))
	}
}
