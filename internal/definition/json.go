package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// ParseJSON parses a document in JSON, or an array of them. An error says that
// the body is not JSON at all.
func ParseJSON(file string, body []byte) ([]Document, Problems, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		docs, problems := Parse(file, Compact(body))
		return docs, problems, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, nil, fmt.Errorf("the body is not JSON: %w", err)
	}
	var docs []Document
	var problems Problems
	for i, item := range items {
		name := file
		if name == "" {
			name = "[" + strconv.Itoa(i) + "]"
		}
		ds, ps := Parse(name, Compact(item))
		docs, problems = append(docs, ds...), append(problems, ps...)
	}
	return docs, problems, nil
}

// Compact takes out the white space that JSON allows and YAML, by which it is
// read, does not (tabs). What is not JSON comes back as it is.
func Compact(body []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return body
	}
	return b.Bytes()
}
