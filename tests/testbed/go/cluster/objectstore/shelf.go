package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// shelf keeps objects as files.
type shelf struct {
	root    string
	scratch string
	// Held while a file comes into place or goes, since a folder goes with the
	// last object in it.
	changing sync.Mutex
}

// object says where an object is, if there is one.
type object struct {
	bucket string
	key    string
	folder string // of the bucket
	path   string
}

func openShelf(root, scratch string) (*shelf, error) {
	for _, folder := range []string{root, scratch} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	return &shelf{root: root, scratch: scratch}, nil
}

// bucket gives the folder of a bucket.
func (s *shelf) bucket(name string) (string, error) {
	folder := filepath.Join(s.root, name)
	if !filepath.IsLocal(name) || name == "." || strings.Contains(name, "/") {
		return "", refuse(http.StatusBadRequest, "InvalidBucketName", "%q is no name of a bucket", name)
	}
	if about, err := os.Stat(folder); err != nil || !about.IsDir() {
		return "", refuse(http.StatusNotFound, "NoSuchBucket", "there is no bucket %q", name)
	}
	return folder, nil
}

// object names an object. Its key has to be a path as it stands, so that the
// path tells the key; but for the slash at the end of a marker's.
func (s *shelf) object(bucket, key string) (object, error) {
	folder, err := s.bucket(bucket)
	if err != nil {
		return object{}, err
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		if slices.Contains([]string{"", ".", ".."}, part) || strings.Contains(part, "\x00") {
			return object{}, refuse(http.StatusBadRequest, "InvalidArgument", "the key %q is not a path, as it has to be here", key)
		}
	}
	return object{bucket: bucket, key: key, folder: folder, path: filepath.Join(folder, key)}, nil
}

// opened is a version of an object, to be read.
type opened struct {
	content  io.ReadSeekCloser
	etag     string
	modified time.Time
	headers  map[string]string
}

type nothing struct{ *strings.Reader }

func (nothing) Close() error { return nil }

func (s *shelf) open(object object) (*opened, error) {
	// The content and its label are of one version.
	s.changing.Lock()
	defer s.changing.Unlock()
	found := &opened{content: nothing{strings.NewReader("")}, etag: markersETag}
	if object.isMarker() {
		about, err := s.marker(object.bucket, object.key, object.path)
		if err != nil {
			return nil, err
		}
		found.modified = about.ModTime()
	} else {
		file, err := os.Open(object.path)
		if isAbsent(err) {
			return nil, noSuchKey(object.key)
		}
		if err != nil {
			return nil, err
		}
		about, err := file.Stat()
		if err == nil && !about.Mode().IsRegular() {
			err = noSuchKey(object.key)
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		found.content, found.etag, found.modified = file, etag(about), about.ModTime()
	}
	var err error
	if found.headers, err = s.headersOf(object, found.etag); err != nil {
		return nil, errors.Join(err, found.content.Close())
	}
	return found, nil
}

// write stores what is no object yet. It gives the file and the SHA-256 of its
// content.
func (s *shelf) write(body io.Reader) (string, string, error) {
	file, err := os.CreateTemp(s.scratch, "partial-")
	if err != nil {
		return "", "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), body)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), hex.EncodeToString(hash.Sum(nil)), nil
}

// placed tells of an object that has come into place.
type placed struct {
	etag     string
	modified time.Time
}

// place makes a written file an object with these headers, all at once.
func (s *shelf) place(file string, object object, headers map[string]string) (placed, error) {
	about, err := os.Stat(file)
	if err == nil {
		s.changing.Lock()
		defer s.changing.Unlock()
		if object.isMarker() {
			return s.placeMarker(file, about, object, headers)
		}
		// The bucket itself is not made anew if it has gone meanwhile.
		_, err = s.bucket(object.bucket)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(object.path), 0o755)
	}
	if err == nil {
		err = s.attach(object, label{ETag: etag(about), Headers: headers})
	}
	if err == nil {
		err = os.Rename(file, object.path)
	}
	if err != nil {
		return placed{}, errors.Join(err, os.Remove(file))
	}
	return placed{etag: etag(about), modified: about.ModTime()}, nil
}

func (s *shelf) placeMarker(file string, about fs.FileInfo, object object, headers map[string]string) (placed, error) {
	_, err := s.bucket(object.bucket)
	if err == nil && about.Size() > 0 {
		err = refuse(http.StatusBadRequest, "InvalidArgument", "the object %q is a folder here and has no content", object.key)
	}
	if err == nil {
		err = os.MkdirAll(object.path, 0o755)
	}
	if err == nil {
		err = s.attach(object, label{ETag: markersETag, Headers: headers})
	}
	return placed{etag: markersETag, modified: about.ModTime()}, errors.Join(err, os.Remove(file))
}

// remove takes an object away, and the folders that it leaves empty. One that
// is not there is no error.
func (s *shelf) remove(object object) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	folder := filepath.Clean(object.path)
	if !object.isMarker() {
		if about, err := os.Lstat(object.path); err == nil && about.IsDir() {
			return nil // a prefix of other keys, and no object
		}
		if err := os.Remove(object.path); err != nil && !isAbsent(err) {
			return err
		}
		folder = filepath.Dir(object.path)
	}
	if err := s.detach(object); err != nil {
		return err
	}
	for ; folder != object.folder; folder = filepath.Dir(folder) {
		key, err := filepath.Rel(object.folder, folder)
		if err != nil {
			return err
		}
		if _, err := s.marker(object.bucket, filepath.ToSlash(key)+"/", folder); err == nil {
			break // it is an object itself
		}
		if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break // it holds other objects
		}
	}
	return nil
}

// isAbsent is also true where a part of the path is an object.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// etag tells versions of an object apart. It is no hash of the content, which
// the hyphen tells clients.
func etag(about fs.FileInfo) string {
	return fmt.Sprintf("\"%x-%x\"", about.ModTime().UnixNano(), about.Size())
}
