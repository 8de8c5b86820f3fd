package definition

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxFiles bounds a folder of definitions.
const maxFiles = 5_000

// LoadDir reads every .yaml, .yml and .json file below the root of fsys, in
// order of path, and the files that templates name. A file that is named
// directly by root is read alone.
func LoadDir(fsys fs.FS, root string) ([]Document, Problems) {
	var docs []Document
	var problems Problems
	files := 0
	err := fs.WalkDir(fsys, root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if p != root && strings.HasPrefix(e.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(p); p != root && !slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
			return nil
		}
		if files++; files > maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		data, err := readFile(fsys, p)
		if err != nil {
			return err
		}
		ds, ps := Parse(p, data)
		problems = append(problems, ps...)
		for _, d := range ds {
			if pr := d.readBodies(fsys, path.Dir(p)); pr != nil {
				problems = append(problems, *pr)
				continue
			}
			docs = append(docs, d)
		}
		return nil
	})
	if err != nil {
		problems = append(problems, Problem{File: root, Message: err.Error()})
	}
	return docs, problems
}

// readBodies puts the files that a template names in the places of their names.
func (d Document) readBodies(fsys fs.FS, dir string) *Problem {
	t, ok := d.Spec.(*Template)
	if !ok {
		return nil
	}
	if p := d.readBody(fsys, dir, "", &t.Text); p != nil {
		return p
	}
	for _, locale := range slices.Sorted(maps.Keys(t.Locales)) {
		text := t.Locales[locale]
		if p := d.readBody(fsys, dir, "locales."+locale+".", &text); p != nil {
			return p
		}
		t.Locales[locale] = text
	}
	return nil
}

func (d Document) readBody(fsys fs.FS, dir, at string, t *Text) *Problem {
	if t.BodyFile == "" {
		return nil
	}
	fail := func(hint, format string, args ...any) *Problem {
		p := d.Problem(at+"bodyFile", fmt.Sprintf(format, args...), hint)
		return &p
	}
	if t.Body != "" {
		return fail("", "give body or bodyFile, not both")
	}
	name := path.Join(dir, t.BodyFile)
	if path.IsAbs(t.BodyFile) || !fs.ValidPath(name) {
		return fail("a path beside the YAML file", "%q is outside the folder", t.BodyFile)
	}
	data, err := readFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fail("", "%s does not exist", name)
	}
	if err != nil {
		return fail("", "%v", err)
	}
	t.Body, t.BodyFile = string(data), ""
	return nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, MaxBytes)
	}
	return data, nil
}
