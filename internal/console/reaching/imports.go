package reaching

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"heed/internal/console/api"
)

// Imports keeps files and works them off: an intake.Importer.
type Imports interface {
	Upload(ctx context.Context, name string, body io.Reader) (api.Import, error)
	Imports(ctx context.Context) ([]api.Import, error)
	Import(ctx context.Context, id string) (api.Import, error)
	Errors(ctx context.Context, id string) (*bytes.Buffer, error)
	Start(ctx context.Context, id string, plan *api.ImportPlan) (api.Import, error)
	Cancel(ctx context.Context, id string) error
}

// imports is nil in a process that imports nothing.
func (h *Reaching) imports() (Imports, error) {
	if h.deps.Imports == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process imports nothing", "ask the server, not a folder")
	}
	return h.deps.Imports, nil
}

// ListImports lists them.
func (h *Reaching) ListImports(ctx context.Context, _ api.ListImportsRequestObject) (api.ListImportsResponseObject, error) {
	m, err := h.imports()
	if err != nil {
		return nil, err
	}
	all, err := m.Imports(ctx)
	return api.ListImports200JSONResponse{Imports: all}, err
}

// UploadImport keeps a file.
func (h *Reaching) UploadImport(ctx context.Context, r api.UploadImportRequestObject) (api.UploadImportResponseObject, error) {
	m, err := h.imports()
	if err != nil {
		return nil, err
	}
	got, err := m.Upload(ctx, r.Params.Name, r.Body)
	if err != nil {
		return nil, err
	}
	h.deps.Audit(ctx, "upload", "import "+got.Id, got.Name)
	return api.UploadImport200JSONResponse(got), nil
}

// GetImport tells how one stands.
func (h *Reaching) GetImport(ctx context.Context, r api.GetImportRequestObject) (api.GetImportResponseObject, error) {
	m, err := h.imports()
	if err != nil {
		return nil, err
	}
	got, err := m.Import(ctx, r.Id)
	return api.GetImport200JSONResponse(got), err
}

// StartImport begins a dry run, or the import itself.
func (h *Reaching) StartImport(ctx context.Context, r api.StartImportRequestObject) (api.StartImportResponseObject, error) {
	m, err := h.imports()
	if err != nil {
		return nil, err
	}
	got, err := m.Start(ctx, r.Id, r.Body)
	if err != nil {
		return nil, err
	}
	if !r.Body.DryRun {
		h.deps.Audit(ctx, "import", "import "+got.Id, got.Name)
	}
	return api.StartImport200JSONResponse(got), nil
}

// CancelImport stops or forgets one.
func (h *Reaching) CancelImport(ctx context.Context, r api.CancelImportRequestObject) (api.CancelImportResponseObject, error) {
	m, err := h.imports()
	if err != nil {
		return nil, err
	}
	if err := m.Cancel(ctx, r.Id); err != nil {
		return nil, err
	}
	h.deps.Audit(ctx, "cancel", "import "+r.Id, "")
	return api.CancelImport204Response{}, nil
}

// GetImportErrors gives the rows that were left out.
func (h *Reaching) GetImportErrors(ctx context.Context, r api.GetImportErrorsRequestObject) (api.GetImportErrorsResponseObject, error) {
	m, err := h.imports()
	if err != nil {
		return nil, err
	}
	b, err := m.Errors(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return api.GetImportErrors200TextcsvResponse{Body: b, ContentLength: int64(b.Len())}, nil
}
