package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	modified time.Time
	label    label
}

type nothing struct{ *strings.Reader }

func (nothing) Close() error { return nil }

func (s *shelf) open(object object) (*opened, error) {
	// The content and its label are of one version.
	s.changing.Lock()
	defer s.changing.Unlock()
	found := &opened{content: nothing{strings.NewReader("")}}
	of := markersVersion
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
		found.content, found.modified, of = file, about.ModTime(), version(about)
	}
	var err error
	if found.label, err = s.labelOf(object.bucket, object.key, of); err != nil {
		return nil, errors.Join(err, found.content.Close())
	}
	return found, nil
}

// written is a file that is no object yet, and what its content hashes to.
type written struct {
	path   string
	sha256 string
	md5    string
}

// write stores what may become an object.
func (s *shelf) write(body io.Reader) (written, error) {
	file, err := os.CreateTemp(s.scratch, "partial-")
	if err != nil {
		return written{}, err
	}
	long, short := sha256.New(), md5.New()
	_, err = io.Copy(io.MultiWriter(file, long, short), body)
	if err = errors.Join(err, file.Close()); err != nil {
		return written{}, errors.Join(err, os.Remove(file.Name()))
	}
	return written{file.Name(), hex.EncodeToString(long.Sum(nil)), hex.EncodeToString(short.Sum(nil))}, nil
}

// etag is that of an object that comes in one piece.
func (w written) etag() string { return `"` + w.md5 + `"` }

// place makes a written file an object with this ETag and these headers, all at
// once. It gives the time of that.
func (s *shelf) place(file written, object object, etag string, headers map[string]string) (time.Time, error) {
	about, err := os.Stat(file.path)
	if err != nil {
		return time.Time{}, err
	}
	label := label{Version: version(about), ETag: etag, Headers: headers}
	s.changing.Lock()
	defer s.changing.Unlock()
	if object.isMarker() {
		err = s.placeMarker(about, object, label)
		return about.ModTime(), errors.Join(err, os.Remove(file.path))
	}
	// The bucket itself is not made anew if it has gone meanwhile.
	_, err = s.bucket(object.bucket)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(object.path), 0o755)
	}
	if err == nil {
		err = s.attach(object, label)
	}
	if err == nil {
		err = os.Rename(file.path, object.path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.path))
	}
	return about.ModTime(), err
}

func (s *shelf) placeMarker(about fs.FileInfo, object object, label label) error {
	if about.Size() > 0 {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the object %q is a folder here and has no content", object.key)
	}
	if _, err := s.bucket(object.bucket); err != nil {
		return err
	}
	label.Version = markersVersion
	return errors.Join(os.MkdirAll(object.path, 0o755), s.attach(object, label))
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
