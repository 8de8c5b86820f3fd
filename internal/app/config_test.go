package app

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func load(t *testing.T, file string, environ ...string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "heed.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(path, environ)
	if err == nil {
		err = cfg.finish()
	}
	return cfg, err
}

func TestLoad(t *testing.T) {
	cfg, err := load(t, `
listen: 127.0.0.1:1
memory: 2GB
retention: {log: 7d, log_bytes: 10GB}
gateway: {max_streams: 3}
engager: {render_timeout: 50ms}
trusted_proxies: [10.0.0.0/8]
`, "HEED_LISTEN=127.0.0.1:2", "HEED_GATEWAY_MAX_BATCH=9", "HEED_TRUSTED_PROXIES=10.0.0.0/8, ::1", "HEED_AVRO_OFF=true", "PATH=/bin", "HEED_SERVER=http://x")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		what      string
		got, want any
	}{
		{"the file", cfg.Memory, Bytes(2 << 30)},
		{"the environment over the file", cfg.Listen, "127.0.0.1:2"},
		{"a period", cfg.Retention.Log.Duration(), 7 * 24 * time.Hour},
		{"a size", cfg.Retention.LogBytes, Bytes(10 << 30)},
		{"a setting of a role", cfg.Gateway.MaxStreams, 3},
		{"a setting of a role from the environment", cfg.Gateway.MaxBatch, 9},
		{"a duration", cfg.Engager.RenderTimeout, 50 * time.Millisecond},
		{"a switch", cfg.Avro.Off, true},
		{"a list", len(cfg.TrustedProxies), 2},
		{"proxies reach the gateway", len(cfg.Gateway.TrustedProxies), 2},
		{"a default", cfg.DataDir, "heed-data"},
		{"a default of a role", cfg.Gateway.MaxBody, 500 << 10},
		{"all roles", len(cfg.Roles), len(Roles())},
		{"shares of memory", cfg.Decider.CacheBytes, int64(2<<30) / 5},
	} {
		if !reflect.DeepEqual(f.got, f.want) {
			t.Errorf("%s: got %v, want %v", f.what, f.got, f.want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	f := func(file, env, want string) {
		t.Helper()
		var environ []string
		if env != "" {
			environ = []string{env}
		}
		_, err := load(t, file, environ...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %s: got %v, want %q", file, env, err, want)
		}
	}
	f("gateway:\n  max_strems: 3\n", "", `heed.yaml:2:3: unknown field "max_strems" (did you mean gateway.max_streams?)`)
	f("listen: a:1\nlisten: b:1\n", "", "heed.yaml:2:1")
	f("listen: [", "", "heed.yaml:1")
	f("retention: {log: 5}\n", "", "write it like")
	f("retention: {log: 5m}\n", "", "retention.log: at least 1h")
	f("retention: {log_bytes: 1KB}\n", "", "retention.log_bytes: at least 64MB")
	f("memory: lots\n", "", "write it like 512MB")
	f("memory: 1MB\n", "", "memory: at least 256MB")
	f("roles: [gatway]\n", "", "roles: ")
	f("log_level: loud\n", "", "log_level")
	f("log_format: xml\n", "", "log_format")
	f("zone: Mars/Base\n", "", "zone")
	f("week_start: noday\n", "", "week_start")
	f("admin_token: short\n", "", "admin_token")
	f("trusted_proxies: [proxy]\n", "", "trusted_proxies")
	f("store: {dedup_ids: 1}\n", "", "store: dedup_ids")
	f("", "HEED_LISTN=x", "HEED_LISTN: no setting has that name (did you mean listen?)")
	f("", "HEED_GATEWAY_MAX_BATCH=many", "HEED_GATEWAY_MAX_BATCH")
	f("memory: 1GB\n---\nnope: 1\n", "", "heed.yaml: holds more than one document")
	f("memory: 1GB\n---\n]", "", "heed.yaml")
	if _, err := Load(filepath.Join(t.TempDir(), "gone.yaml"), nil); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a missing file: %v", err)
	}
}

// A file without settings means the defaults.
func TestLoadEmpty(t *testing.T) {
	for _, file := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		cfg, err := load(t, file)
		if err != nil || cfg.Listen != Defaults().Listen || cfg.Memory != Defaults().Memory {
			t.Errorf("%q: %v, listen %q", file, err, cfg.Listen)
		}
	}
}

// Every setting has a name that a variable can carry, and docs/configuration.md
// lists it.
func TestSettingsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range settingNames(reflect.TypeFor[Config](), "") {
		section, leaf, found := strings.Cut(name, ".")
		if !found {
			section, leaf = "", name
		}
		_, part, _ := bytes.Cut(doc, []byte("\n## "+section+"\n"))
		if section == "" {
			part = doc
		}
		part, _, _ = bytes.Cut(part, []byte("\n## "))
		if !bytes.Contains(part, []byte("`"+leaf+"`")) && section != "" || section == "" && !bytes.Contains(doc, []byte("`"+leaf+"`")) {
			t.Errorf("%s is not in docs/configuration.md", name)
		}
	}
}

func TestBytes(t *testing.T) {
	f := func(in string, want int64, text string) {
		t.Helper()
		var b Bytes
		if err := b.UnmarshalText([]byte(in)); err != nil || int64(b) != want {
			t.Errorf("%q = %d, %v; want %d", in, b, err, want)
		}
		if got, _ := b.MarshalText(); string(got) != text {
			t.Errorf("%q is written %q, want %q", in, got, text)
		}
	}
	f("0", 0, "0")
	f("512MB", 512<<20, "512MB")
	f("4 GB", 4<<30, "4GB")
	f("1.5GiB", 3<<29, "1536MB")
	f("1000", 1000, "1000")
	f("2TB", 2<<40, "2TB")
	for _, bad := range []string{"", "x", "-1MB", "1PB", "NaN"} {
		if err := new(Bytes).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestShape(t *testing.T) {
	servers := "kafka: {brokers: [\"k:9092\"], sasl: {mechanism: scram-sha-512, user: heed, password: x}}\nredis: {addrs: [\"r:6379\"]}\nmongo: {uri: \"mongodb://m/\"}\n"
	cfg, err := load(t, "shape: distributed\nretention: {log: 7d}\n"+servers, "HEED_REDIS_PASSWORD=secret", "HEED_KAFKA_BROKERS=a:1,b:2")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Redis.Password != "secret" || len(cfg.Kafka.Brokers) != 2 || cfg.Kafka.SASL.User != "heed" || cfg.Kafka.Retention != 7*24*time.Hour {
		t.Errorf("read as %+v, %+v", cfg.Kafka, cfg.Redis)
	}
	for file, want := range map[string]string{
		servers: "kafka: is set up, and shape is embedded",
		"shape: distributed\nredis: {addrs: [\"r:6379\"]}\nmongo: {uri: \"mongodb://m/\"}\n": "kafka: is not set up",
		"shape: distributed\n" + servers + "secret: abc\n":                                   "secret: 64 hexadecimal digits",
		"shape: mixed\n" + servers:                                                           `shape: "mixed" is not embedded or distributed`,
		"shape: distributed\n" + strings.Replace(servers, "r:6379", "r", 1):                  "redis: addrs",
	} {
		if _, err := load(t, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

// TestDeploy: what deploy/ holds are settings that there are.
func TestDeploy(t *testing.T) {
	cfg, err := Load("../../deploy/heed.yaml", nil)
	if err == nil {
		err = cfg.finish()
	}
	if err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile("../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for _, role := range Roles() {
		env := compose.Services[role].Environment
		if env["HEED_ROLES"] != role {
			t.Errorf("the service %s has the roles %q", role, env["HEED_ROLES"])
		}
		environ := []string{"HEED_SECRET=" + strings.Repeat("0a", 32)}
		for name, value := range env {
			if name != "HEED_SECRET" { // the operator's
				environ = append(environ, name+"="+value)
			}
		}
		cfg, err := Load("", environ)
		if err == nil {
			err = cfg.finish()
		}
		if err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}
