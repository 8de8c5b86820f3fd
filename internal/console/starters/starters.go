// Package starters owns the designs that new templates may begin with. They are
// ordinary templates that hold together with a channel of each type, called like
// it; nothing sends them as they are.
package starters

import (
	"context"
	"embed"
	"fmt"

	"heed/internal/console/api"
	"heed/internal/definition"
)

//go:embed designs
var files embed.FS

// Starters implements a part of api.StrictServerInterface. It may be used
// concurrently.
type Starters struct {
	all []api.TemplateStarter
	err error
}

// New reads the designs.
func New() *Starters {
	docs, problems := definition.LoadDir(files, "designs")
	s := &Starters{all: []api.TemplateStarter{}, err: problems.Err()}
	for _, d := range docs {
		t, ok := d.Spec.(*definition.Template)
		if !ok {
			s.err = fmt.Errorf("%s is no template", d.Ref())
			continue
		}
		spec, err := definition.MarshalSpec(t)
		if err != nil {
			s.err = err
			continue
		}
		s.all = append(s.all, api.TemplateStarter{Name: d.Name, Type: t.Channel, Spec: spec})
	}
	return s
}

// ListTemplateStarters lists them, by file.
func (s *Starters) ListTemplateStarters(context.Context, api.ListTemplateStartersRequestObject) (api.ListTemplateStartersResponseObject, error) {
	if s.err != nil {
		return nil, s.err
	}
	return api.ListTemplateStarters200JSONResponse{Starters: s.all}, nil
}
