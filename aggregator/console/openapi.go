package console

import (
	_ "embed" // of the description
	"net/http"
)

// openAPI describes the API, OpenAPI 3.1. A test writes it from the types that the
// handlers answer with, and compares it with the handlers and their answers.
//
//go:embed openapi.json
var openAPI []byte

func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // the client is gone: no one is left to tell
}
