package toll

import "testing"

func TestPass(t *testing.T) {
	g := &Gate{}
	if err := g.Pass(3, 1); err != nil || g.passed != 1 {
		t.Fatal(err, g.passed)
	}
	if err := g.Pass(4, 1); err == nil {
		t.Fatal("4 passed")
	}
	if !limits["low"](4) || limits["low"](3) {
		t.Fatal("low")
	}
}

func TestToll(t *testing.T) {
	if got := Toll(3); got != 7 {
		t.Fatal(got)
	}
}

func TestClass(t *testing.T) {
	if Class(1) != "small" || Class(2) != "middle" || Class(3) != "big" {
		t.Fatal("class")
	}
}

func TestOthers(t *testing.T) {
	if !Both(true, true) || Both(true, false) || Larger(1, 2) != 2 || Larger(2, 1) != 2 {
		t.Fatal("others")
	}
	Wait(3)
	if Twice(5) != 4 {
		t.Fatal("twice")
	}
}

func TestHigh(t *testing.T) {
	if !High(errTooHigh) || High(nil) {
		t.Fatal("high")
	}
}

func TestBroken(t *testing.T) { t.Fatal("this one fails by itself") }
