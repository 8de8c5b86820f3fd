package app

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folder is the data folder: what lies in it beside the database.
type folder string

// Files of the data folder.
const (
	secretFile  = "secret.key"  // 32 bytes: signs deliveries, seals secrets
	serverFile  = "server.json" // address and token of the running server
	dbFolder    = "db"
	avroFolder  = "avro"
	factsFolder = "facts"
	lockFile    = "lock" // held while a process of the distributed shape runs; an embedded one has its database's
	journeyFile = "behavior.journey"
)

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// create makes the folder, readable by its owner alone.
func (f folder) create() error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// lock keeps other processes out of the folder until it is let go of.
func (f folder) lock() (unlock func() error, err error) {
	file, err := os.OpenFile(f.path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("another process uses the data folder %s: give each one its own with HEED_DATA_DIR (%w)", f, err)
	}
	return file.Close, nil
}

// secret is the installation's secret: the preset one (nil: none), else the
// folder's, which is made if there is no installation yet; missing is the error if
// there is one.
func (f folder) secret(preset []byte, missing error) ([]byte, error) {
	path := f.path(secretFile)
	key, err := os.ReadFile(path)
	switch {
	case preset != nil && (errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(key, preset)):
		return preset, nil
	case err == nil && preset != nil:
		return nil, fmt.Errorf("secret is set to another one than %s holds: what that one sealed could not be read any more", path)
	case err == nil && len(key) == 32:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s holds %d bytes, want 32: restore it from a backup; what it sealed cannot be read without it", path, len(key))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the installation's secret: %w", err)
	}
	if missing != nil {
		return nil, missing
	}
	key = make([]byte, 32)
	randomBytes(key)
	if err := writeFile(path, key); err != nil {
		return nil, fmt.Errorf("write the installation's secret: %w", err)
	}
	return key, nil
}

// randomBytes fills b from the system's source, which cannot fail.
func randomBytes(b []byte) { _, _ = rand.Read(b) }

// ServerInfo is how commands on the same machine find the running server.
type ServerInfo struct {
	URL   string `json:"url"`
	Token string `json:"token"` // for the admin API
	PID   int    `json:"pid"`
}

// FindServer reads what the server that uses this data folder left there. It
// may be gone by now. The error is fs.ErrNotExist if none was started.
func FindServer(dataDir string) (ServerInfo, error) {
	var s ServerInfo
	b, err := os.ReadFile(folder(dataDir).path(serverFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", serverFile, err)
	}
	return s, nil
}

// announce writes the server file and returns what takes it away again.
func (f folder) announce(url, token string) (withdraw func() error, err error) {
	b, err := json.Marshal(ServerInfo{URL: url, Token: token, PID: os.Getpid()})
	if err != nil {
		return nil, err
	}
	if err := writeFile(f.path(serverFile), b); err != nil {
		return nil, fmt.Errorf("write %s: %w", serverFile, err)
	}
	return func() error {
		if err := os.Remove(f.path(serverFile)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil // somebody tidied up
	}, nil
}

// writeFile replaces a file as a whole, readable by its owner alone, durably.
func writeFile(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // the write has already failed
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// newToken makes a 256-bit token.
func newToken() string {
	b := make([]byte, 32)
	randomBytes(b)
	return hex.EncodeToString(b)
}
