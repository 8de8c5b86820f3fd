package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"heed/internal/period"
)

// Bytes is a size that people write as 512MB or 4GB (powers of 1024).
type Bytes int64

// UnmarshalText reads a number with an optional unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	s = strings.TrimSuffix(strings.TrimSuffix(s, "B"), "I")
	unit := int64(1)
	for i, u := range []string{"K", "M", "G", "T"} {
		if n, ok := strings.CutSuffix(s, u); ok {
			s, unit = n, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n >= 0 && n*float64(unit) <= 1<<60) { // also refuses NaN
		return fmt.Errorf("size %q: write it like 512MB or 4GB", text)
	}
	*b = Bytes(n * float64(unit))
	return nil
}

// MarshalText writes the shortest exact form.
func (b Bytes) MarshalText() ([]byte, error) {
	n, i := int64(b), 0
	for n != 0 && n%1024 == 0 && i < 4 {
		n, i = n/1024, i+1
	}
	return []byte(strconv.FormatInt(n, 10) + []string{"", "KB", "MB", "GB", "TB"}[i]), nil
}

// Load reads the configuration: defaults < file < environment. The file may be
// missing if path is empty. Unknown and doubled keys, and HEED_ variables that
// mean nothing, fail.
func Load(path string, environ []string) (Config, error) {
	cfg := Defaults()
	if path != "" {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return cfg, fmt.Errorf("configuration file %s does not exist", path)
		}
		if err != nil {
			return cfg, fmt.Errorf("read the configuration: %w", err)
		}
		if err := decodeFile(path, data, &cfg); err != nil {
			return cfg, err
		}
	}
	if err := overlayEnviron(&cfg, environ); err != nil {
		return cfg, err
	}
	return cfg, nil
}

func decodeFile(path string, data []byte, cfg *Config) error {
	in := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	read := *cfg // a file without any setting would empty it
	err := in.Decode(&read)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && !errors.Is(in.Decode(new(any)), io.EOF) {
		return fmt.Errorf("%s: holds more than one document", path)
	}
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil {
		hint := ""
		if word, ok := strings.CutPrefix(ye.GetMessage(), `unknown field "`); ok {
			word, _, _ = strings.Cut(word, `"`)
			hint = suggest(word, settingNames(reflect.TypeFor[Config](), ""))
		}
		return fmt.Errorf("%s:%d:%d: %s%s", path, ye.GetToken().Position.Line, ye.GetToken().Position.Column, ye.GetMessage(), hint)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	*cfg = read
	return nil
}

// notSettings are HEED_ variables that other parts of Heed read.
func notSettings() []string {
	return []string{"HEED_SERVER", "HEED_CONFIG", "HEED_REQUIRE_SERVICES", "HEED_SOAK"}
}

// overlayEnviron sets what HEED_... variables name: HEED_GATEWAY_MAX_STREAMS is
// gateway.max_streams.
func overlayEnviron(cfg *Config, environ []string) error {
	names := settingNames(reflect.TypeFor[Config](), "")
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		key, ours := strings.CutPrefix(name, "HEED_")
		if !ours || slices.Contains(notSettings(), name) {
			continue
		}
		i := slices.IndexFunc(names, func(n string) bool {
			return strings.ToUpper(strings.ReplaceAll(n, ".", "_")) == key
		})
		if i < 0 {
			return fmt.Errorf("%s: no setting has that name%s", name, suggest(strings.ToLower(key), names))
		}
		if err := set(reflect.ValueOf(cfg).Elem(), names[i], value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// settingNames lists every leaf as gateway.max_streams.
func settingNames(t reflect.Type, prefix string) []string {
	var out []string
	for f := range t.Fields() {
		name := yamlName(f)
		if name == "" {
			continue
		}
		if isSection(f.Type) {
			out = append(out, settingNames(f.Type, prefix+name+".")...)
			continue
		}
		out = append(out, prefix+name)
	}
	return out
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "-" {
		return ""
	}
	return name
}

func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct }

// set puts a text into the leaf that a dotted name leads to. Lists are
// separated by commas.
func set(v reflect.Value, name, text string) error {
	first, rest, more := strings.Cut(name, ".")
	for f := range v.Type().Fields() {
		if yamlName(f) != first {
			continue
		}
		if more {
			return set(v.FieldByIndex(f.Index), rest, text)
		}
		leaf := v.FieldByIndex(f.Index)
		if leaf.Kind() == reflect.Slice {
			var parts []string
			for p := range strings.SplitSeq(text, ",") {
				if p = strings.TrimSpace(p); p != "" {
					parts = append(parts, p)
				}
			}
			leaf.Set(reflect.ValueOf(parts).Convert(leaf.Type()))
			return nil
		}
		if leaf.Kind() == reflect.String {
			leaf.SetString(text)
			return nil
		}
		if err := yaml.Unmarshal([]byte(text), leaf.Addr().Interface()); err != nil {
			if ye, ok := errors.AsType[yaml.Error](err); ok {
				return errors.New(ye.GetMessage())
			}
			return err
		}
		return nil
	}
	return fmt.Errorf("no setting %q", name)
}

// get is the leaf that a dotted name leads to.
func get(v reflect.Value, name string) any {
	first, rest, more := strings.Cut(name, ".")
	for f := range v.Type().Fields() {
		if yamlName(f) != first {
			continue
		}
		leaf := v.FieldByIndex(f.Index)
		if more {
			return get(leaf, rest)
		}
		return leaf.Interface()
	}
	return nil
}

func suggest(word string, names []string) string {
	best, score := "", 0
	for _, n := range names {
		leaf := n[strings.LastIndexByte(n, '.')+1:]
		for _, candidate := range []string{leaf, strings.ReplaceAll(n, ".", "_")} {
			common := 0
			for common < min(len(word), len(candidate)) && word[common] == candidate[common] {
				common++
			}
			if common > score && 2*common >= len(candidate) {
				best, score = n, common
			}
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// Retention says how long things are kept.
type Retention struct {
	Log      period.Period `yaml:"log"`       // events and intents
	LogBytes Bytes         `yaml:"log_bytes"` // the log never grows beyond this; 0: no cap
}

// networks reads addresses and networks.
func networks(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
