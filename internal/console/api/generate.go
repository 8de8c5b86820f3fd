package api

// What api/openapi.yaml says, as models and routing to a strict handler.
// Beside it stands only how an Event and a backtest are shown; internal/console implements the
// handlers.
//
//go:generate go tool oapi-codegen -o api.gen.go -config codegen.yaml ../../../api/openapi.yaml
