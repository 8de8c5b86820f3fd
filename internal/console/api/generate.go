package api

// What api/openapi.yaml says, as models and routing to a strict handler.
// Nothing else belongs here; internal/console implements it.
//
//go:generate go tool oapi-codegen -config codegen.yaml ../../../api/openapi.yaml
