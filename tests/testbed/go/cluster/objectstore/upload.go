package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An upload in parts is a folder in scratch with a file per part, and one with
// the headers of the object to be. Its id is the folder's name.
const (
	uploadPrefix  = "upload-"
	uploadHeaders = "headers"
)

func (s *shelf) begin(headers map[string]string) (string, error) {
	folder, err := os.MkdirTemp(s.scratch, uploadPrefix)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(headers)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, uploadHeaders), text, 0o644)
	}
	return filepath.Base(folder), err
}

func (s *shelf) upload(id string) (string, error) {
	folder := filepath.Join(s.scratch, id)
	if strings.Contains(id, "/") || !strings.HasPrefix(id, uploadPrefix) || !exists(folder) {
		return "", refuse(http.StatusNotFound, "NoSuchUpload", "there is no upload %q", id)
	}
	return folder, nil
}

func (s *shelf) placePart(file, id string, number int) (fs.FileInfo, error) {
	folder, err := s.upload(id)
	part := filepath.Join(folder, strconv.Itoa(number))
	if err == nil {
		err = os.Rename(file, part)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	return os.Stat(part)
}

// complete makes an object of these parts of an upload, in this order.
func (s *shelf) complete(id string, numbers []int, object object) (placed, error) {
	folder, err := s.upload(id)
	if err != nil {
		return placed{}, err
	}
	var headers map[string]string
	text, err := os.ReadFile(filepath.Join(folder, uploadHeaders))
	if err == nil {
		err = json.Unmarshal(text, &headers)
	}
	if err != nil {
		return placed{}, err
	}
	var parts []io.Reader
	for _, number := range numbers {
		part, err := os.Open(filepath.Join(folder, strconv.Itoa(number)))
		if err != nil {
			return placed{}, refuse(http.StatusBadRequest, "InvalidPart", "part %d has not come", number)
		}
		defer func() { _ = part.Close() }()
		parts = append(parts, part)
	}
	whole, _, err := s.write(io.MultiReader(parts...))
	if err != nil {
		return placed{}, err
	}
	made, err := s.place(whole, object, headers)
	if err != nil {
		return placed{}, err
	}
	return made, os.RemoveAll(folder)
}

func (s *shelf) abort(id string) error {
	folder, err := s.upload(id)
	if err != nil {
		return err
	}
	return os.RemoveAll(folder)
}

func exists(folder string) bool {
	about, err := os.Stat(folder)
	return err == nil && about.IsDir()
}
