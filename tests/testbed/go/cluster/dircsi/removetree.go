package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// removeTree removes path and all below it, read-only directories too: a
// workspace may hold them (a Go module cache does), and without root's rights
// they would stop an ordinary removal.
func removeTree(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(path))
}

// removeChildren empties the directory at path.
func removeChildren(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := removeTree(filepath.Join(path, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
