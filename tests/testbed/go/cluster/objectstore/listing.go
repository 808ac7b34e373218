package main

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is how much a page of a listing holds at most, in S3 as here.
const pageSize = 1000

// listing is the answer of ListObjectsV2.
type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              int
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
	CommonPrefixes        []common
}

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type common struct{ Prefix string }

func (f *front) list(w http.ResponseWriter, bucket string, query url.Values) error {
	encoding := query.Get("encoding-type")
	if encoding != "" && encoding != "url" {
		return refuse(http.StatusBadRequest, "InvalidArgument", "encoding-type is %q", encoding)
	}
	page := listing{Name: bucket, EncodingType: encoding, Prefix: query.Get("prefix"), Delimiter: query.Get("delimiter"), MaxKeys: pageSize}
	if most := query.Get("max-keys"); most != "" {
		wanted, err := strconv.Atoi(most)
		if err != nil || wanted < 1 {
			return refuse(http.StatusBadRequest, "InvalidArgument", "max-keys is %q", most)
		}
		page.MaxKeys = min(wanted, pageSize)
	}
	after := query.Get("start-after")
	if token := query.Get("continuation-token"); token != "" {
		last, err := base64.URLEncoding.DecodeString(token)
		if err != nil {
			return refuse(http.StatusBadRequest, "InvalidArgument", "the continuation token is none of ours")
		}
		after = string(last)
	}
	objects, err := f.shelf.objects(bucket, page.Prefix)
	if err != nil {
		return err
	}
	page.fill(objects, after)
	if encoding != "" {
		page.encode()
	}
	writeXML(w, http.StatusOK, page)
	return nil
}

// fill takes what comes after a key, or after all that begin with a common
// prefix, and as much as the page holds.
func (l *listing) fill(objects []listed, after string) {
	last := after
	for _, object := range objects {
		name, isGroup := object.Key, false
		if l.Delimiter != "" {
			rest := object.Key[len(l.Prefix):]
			if end := strings.Index(rest, l.Delimiter); end >= 0 {
				name, isGroup = object.Key[:len(l.Prefix)+end+len(l.Delimiter)], true
			}
		}
		if name <= after || isGroup && name == last {
			continue
		}
		if l.KeyCount == l.MaxKeys {
			l.IsTruncated = true
			l.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(last))
			return
		}
		if isGroup {
			l.CommonPrefixes = append(l.CommonPrefixes, common{name})
		} else {
			l.Contents = append(l.Contents, object)
		}
		l.KeyCount++
		last = name
	}
}

// encode makes keys fit for XML, which has no form for most control characters.
func (l *listing) encode() {
	l.Prefix, l.Delimiter = url.QueryEscape(l.Prefix), url.QueryEscape(l.Delimiter)
	for i := range l.Contents {
		l.Contents[i].Key = url.QueryEscape(l.Contents[i].Key)
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = url.QueryEscape(l.CommonPrefixes[i].Prefix)
	}
}

// objects gives all objects whose key begins with a prefix, in the order of
// their keys' bytes.
func (s *shelf) objects(bucket, prefix string) ([]listed, error) {
	folder, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	var objects []listed
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		}
		if err != nil || path == folder || !entry.IsDir() && !entry.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(relative)
		if entry.IsDir() {
			key += "/"
		}
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		about, of := fs.FileInfo(nil), markersVersion
		if entry.IsDir() {
			if about, err = s.marker(bucket, key, path); err != nil {
				return nil // a folder that is no object
			}
		} else {
			about, err = entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			of = version(about)
		}
		label, err := s.labelOf(bucket, key, of)
		if err != nil {
			return err
		}
		object := listed{
			Key:          key,
			LastModified: about.ModTime().UTC().Format(time.RFC3339),
			ETag:         label.ETag,
			StorageClass: "STANDARD",
		}
		if !entry.IsDir() {
			object.Size = about.Size()
		}
		objects = append(objects, object)
		return nil
	})
	slices.SortFunc(objects, func(a, b listed) int { return strings.Compare(a.Key, b.Key) })
	return objects, err
}
