package console

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// What is answered elsewhere is permitted by the name that it has in the API's
// description.
func TestNeeds(t *testing.T) {
	text, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	all := needs()
	for _, pattern := range slices.Sorted(maps.Keys(all)) {
		method, path, _ := strings.Cut(pattern, " /api/v1")
		call, _ := spec.Paths[path][strings.ToLower(method)].(map[string]any)
		id, _ := call["operationId"].(string)
		if !strings.EqualFold(id, all[pattern].operation) {
			t.Errorf("%s is %q in the description, and %q here", pattern, id, all[pattern].operation)
		}
	}
}
