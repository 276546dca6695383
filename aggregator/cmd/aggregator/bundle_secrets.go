package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// struck stands for what was left out.
const struck = "#####"

// secretKey is how a setting is called whose value, or whose file, nobody else may know.
var secretKey = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|credential|auth|key)(_?file)?$`)

// Secrets that no setting names: PEM blocks of keys, passwords in URLs, and what is
// written as password=... in a line.
var (
	pemKey    = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`)
	userInfo  = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s"'@]*:[^/"'\n@]{0,200}@`)
	spelt     = regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|api_?key)"?\s*[=:]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;]+)`)
	setting   = regexp.MustCompile(`(?m)^[\s#-]*([A-Za-z_][A-Za-z_ ]*)\s*:[ \t]+(.*?)[ \t]*(?:[ \t]#.*)?$`)
	keepSpelt = regexp.MustCompile(`(?i)_file"?\s*[=:]`)
)

// maxSecretFile bounds a file that is looked into for secrets.
const maxSecretFile = 64 << 10

// parseAny reads any YAML, in its order.
func parseAny(raw []byte) (any, error) {
	var v any
	err := yaml.UnmarshalWithOptions(raw, &v, yaml.UseOrderedMap())
	return v, err
}

// at is the value under keys; nil if there is none.
func at(v any, keys ...string) any {
	for _, key := range keys {
		m, ok := v.(yaml.MapSlice)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(m, func(item yaml.MapItem) bool { return item.Key == key })
		if i < 0 {
			return nil
		}
		v = m[i].Value
	}
	return v
}

// walk visits the scalars of a value with the key that each stands under, and replaces
// each by what visit returns.
func walk(v any, key string, visit func(key string, scalar any) any) any {
	switch v := v.(type) {
	case yaml.MapSlice:
		out := make(yaml.MapSlice, len(v))
		for i, item := range v {
			out[i] = yaml.MapItem{Key: item.Key, Value: walk(item.Value, fmt.Sprint(item.Key), visit)}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = walk(v[i], key, visit)
		}
		return out
	case nil:
		return nil
	default:
		return visit(key, v)
	}
}

// findSecrets collects what must not stand in the bundle: values and files of settings
// with telling names, passwords in URLs, and keys in the data folder. A file that
// cannot be read is an error: its content may stand in the log.
func (b *bundle) findSecrets(raw []byte) error {
	var errs []error
	for _, m := range setting.FindAllSubmatch(raw, -1) { // as it is written, and in comments
		if value := strings.Trim(string(m[2]), `"'`); secretKey.Match(m[1]) && value != "|" && value != ">" {
			if info, err := os.Stat(resolve(b.dir, value)); err != nil || !info.Mode().IsRegular() {
				b.add(value)
			}
		}
	}
	walk(b.config, "", func(key string, scalar any) any {
		text := fmt.Sprint(scalar)
		if u, err := url.Parse(text); err == nil && u.User != nil {
			if password, has := u.User.Password(); has {
				b.add(password)
			}
		}
		if !secretKey.MatchString(key) {
			return scalar
		}
		path := resolve(b.dir, text)
		info, err := os.Stat(path)
		switch {
		case err == nil && info.Mode().IsRegular():
			errs = append(errs, b.addFile(path))
		case err == nil || strings.HasSuffix(strings.ToLower(key), "file"):
			// A folder, or a file that is gone: its name is none.
		default:
			b.add(text)
		}
		return scalar
	})
	if dir := b.path("data"); dir != "" {
		errs = append(errs, b.addKeysOf(dir))
	}
	slices.SortFunc(b.secrets, func(x, y string) int { return len(y) - len(x) }) // a secret may stand within another
	b.secrets = slices.Compact(b.secrets)
	return errors.Join(errs...)
}

// add takes a secret, and the forms in which it would stand in JSON, a URL and a
// quotation.
func (b *bundle) add(secret string) {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return
	}
	quoted := strconv.Quote(secret)
	forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:],
		quoted[1 : len(quoted)-1], strings.ReplaceAll(secret, "'", "''")}
	if j, err := json.Marshal(secret); err == nil {
		forms = append(forms, string(j[1:len(j)-1]))
	}
	for _, form := range forms {
		if strings.Trim(form, struck[:1]) != "" && !slices.Contains(b.secrets, form) {
			b.secrets = append(b.secrets, form)
		}
	}
}

// addFile takes each line of a file but the frames of PEM.
func (b *bundle) addFile(path string) error {
	raw, err := readSmall(path, maxSecretFile)
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "-----") {
			b.add(line)
		}
	}
	return nil
}

// addKeysOf takes the private keys of a folder.
func (b *bundle) addKeysOf(dir string) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() || info.Size() > maxSecretFile {
			return err
		}
		raw, err := readSmall(path, maxSecretFile)
		if err != nil {
			return err
		}
		if bytes.Contains(raw, []byte("PRIVATE KEY")) {
			return b.addFile(path)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has never run
	}
	return err
}

// struckYAML is a configuration without the values of its secrets and without its
// comments.
func struckYAML(config any) ([]byte, error) {
	return yaml.Marshal(walk(config, "", func(key string, scalar any) any {
		if secretKey.MatchString(key) && !strings.HasSuffix(strings.ToLower(key), "file") {
			return struck
		}
		return scalar
	}))
}

// strike takes the secrets out of a file.
func (b *bundle) strike(content []byte) []byte {
	content = pemKey.ReplaceAll(content, []byte(struck))
	content = userInfo.ReplaceAll(content, []byte("${1}"+struck+"@"))
	content = spelt.ReplaceAllFunc(content, func(m []byte) []byte {
		if keepSpelt.Match(m) {
			return m
		}
		return spelt.ReplaceAll(m, []byte("${1}"+struck))
	})
	for range 8 { // the mark next to what is left may read like another secret
		again := false
		for _, secret := range b.secrets {
			again = again || bytes.Contains(content, []byte(secret))
			content = bytes.ReplaceAll(content, []byte(secret), []byte(struck))
		}
		if !again {
			return content
		}
	}
	return []byte("left out: its secrets could not be struck\n")
}
