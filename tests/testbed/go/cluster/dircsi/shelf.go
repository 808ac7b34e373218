package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// shelf keeps objects of one kind: each is a directory named by its id, with
// its files in data/ and its record beside them. Objects are built in scratch,
// on the same filesystem, and put in place by one rename: a kill at any moment
// leaves a whole object or none.
type shelf[T any] struct {
	dir     string
	record  string // file name of an object's record
	scratch string
}

// data is the absolute path of an object's files.
func (s shelf[T]) data(id string) string { return filepath.Join(s.dir, id, "data") }

// get reads an object's record, or fails with ErrNotFound.
func (s shelf[T]) get(id string) (*T, error) {
	if !fileID.MatchString(id) {
		return nil, ErrNotFound
	}
	path := filepath.Join(s.dir, id, s.record)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	object := new(T)
	if err := json.Unmarshal(content, object); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return object, nil
}

// list reads all records, ordered by id.
func (s shelf[T]) list() ([]*T, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var objects []*T
	for _, entry := range entries {
		object, err := s.get(entry.Name())
		if errors.Is(err, ErrNotFound) {
			continue // removed since the directory was read
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// add makes an object whose files are a copy of the tree at source, or none if
// source is empty. The id must be free.
func (s shelf[T]) add(ctx context.Context, id string, object *T, source string) (err error) {
	building, err := os.MkdirTemp(s.scratch, id+"-new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(building))
		}
	}()
	if err := os.Chmod(building, 0o755); err != nil {
		return err
	}
	data := filepath.Join(building, "data")
	if source == "" {
		err = os.Mkdir(data, 0o755)
	} else {
		err = copyTree(ctx, source, data)
	}
	if err != nil {
		return err
	}
	if err := writeRecord(filepath.Join(building, s.record), object); err != nil {
		return err
	}
	return os.Rename(building, filepath.Join(s.dir, id))
}

// rewrite replaces an object's record.
func (s shelf[T]) rewrite(id string, object *T) error {
	draft := filepath.Join(s.scratch, id+"-record")
	if err := writeRecord(draft, object); err != nil {
		return err
	}
	return os.Rename(draft, filepath.Join(s.dir, id, s.record))
}

// remove takes an object away; one that is not there is no error.
func (s shelf[T]) remove(id string) error {
	if !fileID.MatchString(id) {
		return nil
	}
	grave, err := os.MkdirTemp(s.scratch, id+"-gone-*")
	if err != nil {
		return err
	}
	err = os.Rename(filepath.Join(s.dir, id), filepath.Join(grave, "object"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeTree(grave))
}

func writeRecord(path string, object any) error {
	content, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}
