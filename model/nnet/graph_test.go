//go:build !lite

package nnet

import (
	"math"
	"testing"

	"fairwatt/model"

	"gorgonia.org/tensor"
)

// Gorgonia's graph and the plain pass, which scores in a program built with the
// tag lite, give the same probability to 1e-6 on every row of every committed
// trace.
func TestGraphAndPlainPassScoreTracesAlike(t *testing.T) {
	n, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	compared, worst := 0, 0.0
	eachRow(t, func(name string, row int, f *model.Features) {
		for i := range n.live {
			l := &n.live[i]
			want, ok := l.Probability(f)
			if !ok {
				continue
			}
			got, err := l.score(f)
			if err != nil {
				t.Fatalf("%s, row %d, %s: %v", name, row, l.Name, err)
			}
			if d := math.Abs(got - want); !(d <= 1e-6) {
				t.Fatalf("%s, row %d, %s: by the graph %v, by the plain pass %v", name, row, l.Name, got, want)
			} else {
				worst = max(worst, d)
			}
			compared++
		}
	})
	if compared < 30_000 {
		t.Errorf("%d scores compared only", compared)
	}
	t.Logf("%d scores, largest difference %.2g", compared, worst)
}

// Two trainers at once fill the library's pool of tensors, and the one that finds no place
// in it waits there for good. What is given back to a pool that is not used stays as it is.
func TestTrainersShareNoPool(t *testing.T) {
	d := tensor.New(tensor.WithShape(2, 3), tensor.Of(tensor.Float32))
	if tensor.ReturnTensor(d); !d.Shape().Eq(tensor.Shape{2, 3}) {
		t.Errorf("a tensor given back has the shape %v: the pool is in use", d.Shape())
	}
}
