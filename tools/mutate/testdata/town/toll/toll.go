// Package toll is a small package whose tests miss what toll_test.go says.
package toll

import (
	"errors"
	"fmt"
	"log"
)

// Open is a bool with a name.
type Open bool

// Gate keeps a count.
type Gate struct {
	passed int
	mask   uint8
	open   Open
	log    []string
}

var errTooHigh = errors.New("too high")

var limits = map[string]func(int) bool{
	"low": func(h int) bool { return h > 3 },
}

// Pass lets a cart of a height through.
func (g *Gate) Pass(height, width int) error {
	if height > 3 || width > 2 {
		return fmt.Errorf("%d by %d: %w", height, width, errTooHigh)
	}
	g.passed++
	g.mask |= 1<<height - 1
	log.Printf("passed %d", g.passed+1)
	g.note("passed")
	return nil
}

func (g *Gate) note(what string) {
	g.log = append(make([]string, 0, len(g.log)+1), append(g.log, what)...)
}

// Toll is two a metre and one for the gate.
func Toll(metres int) int {
	sum := 1
	for i := 0; i < metres; i++ {
		sum += 2
	}
	return sum * 1
}

// Class says how big a cart is.
func Class(height float64) string {
	switch {
	case height < 1.5:
		return "small"
	case height < 2.5:
		return "middle"
	}
	return "big"
}

// Both are named booleans, which a switch does not fit.
func Both(a, b Open) Open { return a && b }

// Larger has a type parameter, which the helpers do not infer.
func Larger[T int | float64](a, b T) T {
	if a < b {
		return b
	}
	return a
}

// Wait ends when left is 0, and never when it is not counted down.
func Wait(left int) {
	for left > 0 {
		left -= 1
	}
}

// Never is not tested.
func Never(a, b bool) bool { return a && !b }

// Twice says the same twice.
func Twice(n int) int {
	if n == 0 {
		n--
	}
	n--
	return n
}

// High says whether an error is one of height.
func High(err error) bool { return err != nil && errors.Is(err, errTooHigh) }

func (g Gate) String() string { return fmt.Sprint(g.passed + 1) }
