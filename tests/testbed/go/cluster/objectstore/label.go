package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// label is what an object has beside its content: its ETag, and the headers that
// it was put with and is read with. It lies in scratch, so that a bucket holds
// nothing but objects, and says of which version it is: a file that a test has
// written itself has none.
type label struct {
	Version string
	ETag    string
	Headers map[string]string
}

const metadataPrefix = "X-Amz-Meta-"

// headersToKeep picks, of a request's headers, those that belong to the object.
func headersToKeep(all http.Header) map[string]string {
	kept := map[string]string{}
	for name, values := range all {
		if name == "Content-Type" || strings.HasPrefix(name, metadataPrefix) {
			kept[name] = strings.Join(values, ",")
		}
	}
	return kept
}

func (s *shelf) labelPath(bucket, key string) string {
	name := sha256.Sum256([]byte(bucket + "/" + key))
	return filepath.Join(s.scratch, "labels", hex.EncodeToString(name[:]))
}

// attach labels an object, in place of what it was labelled with.
func (s *shelf) attach(object object, label label) error {
	text, err := json.Marshal(label)
	if err != nil {
		return err
	}
	path := s.labelPath(object.bucket, object.key)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644))
}

func (s *shelf) detach(object object) error {
	err := os.Remove(s.labelPath(object.bucket, object.key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// labelOf gives the label of a version of an object.
func (s *shelf) labelOf(bucket, key, version string) (label, error) {
	// The hyphen tells clients that this is no hash of the content.
	none := label{Version: version, ETag: `"` + version + `"`}
	text, err := os.ReadFile(s.labelPath(bucket, key))
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	var found label
	if err := json.Unmarshal(text, &found); err != nil || found.Version != version {
		return none, err
	}
	return found, nil
}

// version tells versions of a file apart.
func version(about fs.FileInfo) string {
	return fmt.Sprintf("%x-%x", about.ModTime().UnixNano(), about.Size())
}

// A marker is an object whose key ends in a slash. It has no content; clients
// keep empty folders by it. Here it is a folder that has a label.

func (o object) isMarker() bool { return strings.HasSuffix(o.key, "/") }

// marker gives what there is to know of the folder at a path, if it is a marker.
func (s *shelf) marker(bucket, key, path string) (fs.FileInfo, error) {
	if about, err := os.Stat(path); err != nil || !about.IsDir() {
		return nil, noSuchKey(key)
	}
	about, err := os.Stat(s.labelPath(bucket, key))
	if isAbsent(err) {
		return nil, noSuchKey(key)
	}
	return about, err
}

const markersVersion = "marker-0"
