package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxSocketPath is what fits into sockaddr_un on Linux beside its closing zero.
const maxSocketPath = 107

// listen opens the Unix socket that endpoint names. A socket that a killed
// driver left is replaced; that of a living one is not.
func listen(endpoint string) (net.Listener, error) {
	path, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return nil, fmt.Errorf("endpoint %q: want unix:// and an absolute path, as in unix:///tmp/csi.sock", endpoint)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("endpoint %q: the path is %d bytes long, a Unix socket's may have %d", endpoint, len(path), maxSocketPath)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("endpoint %q: its directory must exist: %w", endpoint, err)
	}
	if err := removeStaleSocket(path); err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return listener, nil
}

func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("something other than a socket is in its place")
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return errors.New("another process serves it")
	}
	return os.Remove(path)
}
