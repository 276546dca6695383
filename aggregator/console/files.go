package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// A file is one of the page's, as it goes over the wire.
type file struct {
	kind, tag    string
	body, packed []byte
}

var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".webmanifest": "application/manifest+json", ".LICENSE": "text/plain; charset=utf-8",
}

// files are all of the page's by name, packed once.
var files = sync.OnceValues(func() (map[string]*file, error) {
	out := make(map[string]*file)
	list, err := fs.ReadDir(static, "static")
	if err != nil {
		return nil, err
	}
	for _, entry := range list {
		body, err := static.ReadFile("static/" + entry.Name())
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		_, err = z.Write(body)
		if err := errors.Join(err, z.Close()); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		kind := kinds[path.Ext(entry.Name())]
		if kind == "" {
			return nil, fmt.Errorf("no media type for %s", entry.Name())
		}
		out[entry.Name()] = &file{kind: kind, tag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body, packed: b.Bytes()}
	}
	return out, nil
})

// file answers with one of the page's files. A browser that has it asks whether it is
// still the same.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	f := s.files[name]
	if f == nil {
		problem(w, http.StatusNotFound, fmt.Errorf("there is no page at this address: the page is at /, and its API below /api/v1"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.body
	if unpacks(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.packed
	}
	_, _ = w.Write(body) // the client is gone: no one is left to tell
}

// unpacks reports whether a client takes gzip.
func unpacks(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.TrimLeft(strings.ReplaceAll(quality, " ", ""), "q=0.") != "" || name == "gzip" && quality == "" {
			return true
		}
	}
	return false
}
