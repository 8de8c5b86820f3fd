package render

import (
	"os"
	"strings"
	"testing"
)

// The reference for authors names every filter.
func TestReferenceNamesEveryFilter(t *testing.T) {
	doc, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range filterTable() {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/templates.md does not name the filter %s", name)
		}
	}
}
