package comtrade

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"fairwatt/proto/brief"
)

// cffSection matches the line that opens a section of a .cff:
// "--- file type: DAT BINARY: 4321 ---".
var cffSection = regexp.MustCompile(`(?i)^-+\s*file type:\s*([a-z]+)\s*([a-z0-9]*)\s*(?::\s*([0-9]+))?\s*-+\s*$`)

// NewCFFReader reads a combined file: CFG, INF, HDR and DAT in one stream.
// The data must come after the configuration, as the standard says. INF and HDR
// before the data are skipped.
func NewCFFReader(in io.Reader, m *Map) (*Reader, error) {
	b := bufio.NewReaderSize(in, maxLine)
	var text bytes.Buffer
	section, read := "", 0
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, &Error{File: "cff", Err: fmt.Errorf("a line before the data is longer than %d bytes", maxLine)}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read comtrade cff: %w", err)
		}
		if read += len(line); read > maxText {
			return nil, &Error{File: "cff", Err: fmt.Errorf("more than %d bytes before the data", maxText)}
		}
		if head := cffSection.FindSubmatch(bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))); head != nil {
			if section = strings.ToUpper(string(head[1])); section == "DAT" {
				return cffData(b, text.Bytes(), string(head[2]), string(head[3]), m)
			}
			continue
		}
		if section == "CFG" {
			text.Write(line)
		}
		if err != nil {
			return nil, &Error{File: "cff", Err: errors.New("it ends before its section of data")}
		}
	}
}

func cffData(b io.Reader, text []byte, format, bytesText string, m *Map) (*Reader, error) {
	if len(text) == 0 {
		return nil, &Error{File: "cff", Err: errors.New("no configuration before the data")}
	}
	cfg, err := parseConfig(text)
	if err != nil {
		return nil, err
	}
	// Real files write "BINARY" for every binary format; the configuration decides.
	if isText := strings.EqualFold(format, "ASCII"); isText != (cfg.Format == ASCII) {
		return nil, &Error{File: "cff", Err: brief.Errorf("its data section is %q and its configuration says %s", format, cfg.Format)}
	}
	if bytesText != "" && cfg.Format != ASCII {
		size, err := strconv.ParseInt(bytesText, 10, 64)
		if err != nil {
			return nil, &Error{File: "cff", Err: fmt.Errorf("size of the data: %w", err)}
		}
		if err := cfg.checkSize(size); err != nil {
			return nil, err
		}
	}
	return NewReader(cfg, b, m)
}
