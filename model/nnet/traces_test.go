package nnet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// eachRow gives the features of every row of every committed trace.
func eachRow(tb testing.TB, do func(name string, row int, f *model.Features)) {
	tb.Helper()
	paths, err := filepath.Glob("../../configs/traces/*.csv")
	if err != nil || len(paths) < 16 {
		tb.Fatalf("%d traces, %v", len(paths), err)
	}
	for _, path := range paths {
		r, err := trace.Open(path, trace.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		extractor := model.NewExtractor()
		var s model.Sample
		var f model.Features
		name := strings.TrimSuffix(filepath.Base(path), ".csv")
		for row := 1; ; row++ {
			if err := r.Next(&s); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				tb.Fatal(err)
			}
			extractor.Push(&s)
			extractor.Features(&f)
			do(name, row, &f)
		}
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// scoresFile holds what Gorgonia scored on amd64: trace, row, and the
// probability of each kind.
const scoresFile = "testdata/scores.csv"

// Whatever scores in this program, on whatever machine, gives Gorgonia's scores
// to 1e-6. FAIRWATT_UPDATE=1 writes them again, by Gorgonia.
func TestScoresOfTracesAreGorgonias(t *testing.T) {
	n, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	got := make(map[string]model.Scores)
	var lines []string
	eachRow(t, func(name string, row int, f *model.Features) {
		if !strings.HasSuffix(name, "-hourly") && row%60 != 0 {
			return
		}
		s, err := n.Score(f)
		if err != nil {
			t.Fatalf("%s, row %d: %v", name, row, err)
		}
		key := name + "," + strconv.Itoa(row)
		got[key] = s
		line := key
		for _, k := range n.Kinds() {
			line += ","
			if s.Has[k] {
				line += fmt.Sprintf("%.9f", s.P[k])
			}
		}
		lines = append(lines, line)
	})
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if Engine != "Gorgonia" {
			t.Fatal("Gorgonia's scores are written by a program that has Gorgonia")
		}
		if err := os.WriteFile(scoresFile, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(scoresFile)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		s, ok := got[cells[0]+","+cells[1]]
		if !ok || len(cells) != 2+len(n.Kinds()) {
			t.Fatalf("%s: no such row, or other kinds", line)
		}
		for i, k := range n.Kinds() {
			cell := cells[2+i]
			if (cell != "") != s.Has[k] {
				t.Errorf("%s: %v is scored: %v", line, k, s.Has[k])
			}
			if cell == "" {
				continue
			}
			want, err := strconv.ParseFloat(cell, 64)
			if err != nil || math.Abs(s.P[k]-want) > 1e-6 {
				t.Errorf("%s: %v is scored %.9f (%v)", line, k, s.P[k], err)
			}
			compared++
		}
	}
	if compared < 1000 || len(got) != strings.Count(string(text), "\n") {
		t.Errorf("%d scores compared, %d rows scored", compared, len(got))
	}
}
