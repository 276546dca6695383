package meters

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every file is a map of the program, under its own name.
func TestEveryFileIsAMap(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 8 || len(files) != len(Maps()) {
		t.Fatalf("%d files, %d maps, %v", len(files), len(Maps()), err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil || Maps()[strings.TrimSuffix(path, ".yaml")] != string(b) {
			t.Errorf("%s is not the map of that name: %v", path, err)
		}
	}
}
