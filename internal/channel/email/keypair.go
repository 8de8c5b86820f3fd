package email

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// keyPair is a certificate and its key in files, which are read again once they were
// renewed. Its methods may be called concurrently.
type keyPair struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	of     [2]stamp
}

// stamp tells a file from the one that was there before.
type stamp struct {
	modified time.Time
	size     int64
}

func newKeyPair(cert, key string) *keyPair { return &keyPair{cert: cert, key: key} }

// load reads the files if they are others than before. Files that cannot be used, as
// while they are being written, leave the one that there is.
func (k *keyPair) load() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fresh, err := k.read()
	if k.loaded == nil && err != nil {
		return nil, err
	}
	if fresh != nil {
		k.loaded = fresh
	}
	return k.loaded, err
}

// read is nil if the files are the same.
func (k *keyPair) read() (*tls.Certificate, error) {
	var of [2]stamp
	for i, file := range []string{k.cert, k.key} {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		of[i] = stamp{info.ModTime(), info.Size()}
	}
	if k.loaded != nil && of == k.of {
		return nil, nil //nolint:nilnil // the same, and no mistake
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	k.of = of
	return &pair, nil
}
