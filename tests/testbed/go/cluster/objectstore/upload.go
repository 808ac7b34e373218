package main

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
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

func (s *shelf) placePart(file written, id string, number int) error {
	folder, err := s.upload(id)
	if err == nil {
		err = os.Rename(file.path, filepath.Join(folder, strconv.Itoa(number)))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.path))
	}
	return nil
}

// complete makes an object of these parts of an upload, in this order. It gives
// the object's ETag: the hash of the parts' hashes, and how many there are.
func (s *shelf) complete(id string, numbers []int, object object) (string, error) {
	folder, err := s.upload(id)
	if err != nil {
		return "", err
	}
	var headers map[string]string
	text, err := os.ReadFile(filepath.Join(folder, uploadHeaders))
	if err == nil {
		err = json.Unmarshal(text, &headers)
	}
	if err != nil {
		return "", err
	}
	var parts []io.Reader
	var hashes []hash.Hash
	for _, number := range numbers {
		part, err := os.Open(filepath.Join(folder, strconv.Itoa(number)))
		if err != nil {
			return "", refuse(http.StatusBadRequest, "InvalidPart", "part %d has not come", number)
		}
		defer func() { _ = part.Close() }()
		hash := md5.New()
		hashes = append(hashes, hash)
		parts = append(parts, io.TeeReader(part, hash))
	}
	whole, err := s.write(io.MultiReader(parts...))
	if err != nil {
		return "", err
	}
	all := md5.New()
	for _, hash := range hashes {
		_, _ = all.Write(hash.Sum(nil)) // a hash takes everything
	}
	etag := fmt.Sprintf("\"%x-%d\"", all.Sum(nil), len(hashes))
	if _, err := s.place(whole, object, etag, headers); err != nil {
		return "", err
	}
	return etag, os.RemoveAll(folder)
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
