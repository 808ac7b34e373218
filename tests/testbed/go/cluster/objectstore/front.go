package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// front answers requests: it looks at the signature, then asks the shelf.
type front struct {
	owner owner
	shelf *shelf
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := f.owner.admit(r)
	if err == nil {
		err = f.serve(w, r)
	}
	if err == nil {
		fmt.Printf("%s %s: done\n", r.Method, r.URL)
		return
	}
	refusal := refusalOf(err)
	fmt.Printf("%s %s: %v\n", r.Method, r.URL, refusal)
	refusal.write(w, r)
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) error {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	if key == "" {
		if r.Method == http.MethodGet && query.Get("list-type") == "2" {
			return f.list(w, bucket, query)
		}
		return unknown(r)
	}
	object, err := f.shelf.object(bucket, key)
	if err != nil {
		return err
	}
	for _, aspect := range []string{"acl", "attributes", "tagging", "retention", "legal-hold"} {
		if query.Has(aspect) {
			return unknown(r)
		}
	}
	upload := query.Get("uploadId")
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		return f.begin(w, r, object)
	case r.Method == http.MethodPost && upload != "":
		return f.complete(w, r, object, upload)
	case r.Method == http.MethodPut && upload != "":
		return f.putPart(w, r, upload, query.Get("partNumber"))
	case r.Method == http.MethodDelete && upload != "":
		return answer(w, f.shelf.abort(upload))
	case r.Method == http.MethodPut && r.Header.Get(copySource) != "":
		return f.copy(w, r, object)
	case r.Method == http.MethodPut:
		return f.put(w, r, object)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return f.get(w, r, object)
	case r.Method == http.MethodDelete:
		return answer(w, f.shelf.remove(object))
	}
	return unknown(r)
}

func (f *front) get(w http.ResponseWriter, r *http.Request, object object) error {
	found, err := f.shelf.open(object)
	if err != nil {
		return err
	}
	defer func() { _ = found.content.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	for name, value := range found.label.Headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("ETag", found.label.ETag)
	http.ServeContent(w, r, "", found.modified, found.content)
	return nil
}

func (f *front) put(w http.ResponseWriter, r *http.Request, object object) error {
	partial, err := f.receive(r)
	if err != nil {
		return err
	}
	if _, err := f.shelf.place(partial, object, partial.etag(), headersToKeep(r.Header)); err != nil {
		return err
	}
	w.Header().Set("ETag", partial.etag())
	return nil
}

const copySource = "X-Amz-Copy-Source"

// copy makes an object of another one, with the other one's headers or with new
// ones.
func (f *front) copy(w http.ResponseWriter, r *http.Request, object object) error {
	path, err := url.PathUnescape(r.Header.Get(copySource))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the source of the copy: %v", err)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	source, err := f.shelf.object(bucket, key)
	if err != nil {
		return err
	}
	found, err := f.shelf.open(source)
	if err != nil {
		return err
	}
	defer func() { _ = found.content.Close() }()
	headers := found.label.Headers
	if r.Header.Get("X-Amz-Metadata-Directive") == "REPLACE" {
		headers = headersToKeep(r.Header)
	}
	partial, err := f.shelf.write(found.content)
	if err != nil {
		return err
	}
	modified, err := f.shelf.place(partial, object, partial.etag(), headers)
	if err != nil {
		return err
	}
	writeXML(w, http.StatusOK, struct {
		XMLName      xml.Name `xml:"CopyObjectResult"`
		ETag         string
		LastModified string
	}{ETag: partial.etag(), LastModified: modified.UTC().Format(time.RFC3339)})
	return nil
}

// receive takes a request's body, and holds it against its digest.
func (f *front) receive(r *http.Request) (written, error) {
	digest := r.Header.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(digest, "STREAMING-") {
		return written{}, refuse(http.StatusNotImplemented, "NotImplemented", "bodies that are signed in chunks are not taken")
	}
	partial, err := f.shelf.write(r.Body)
	if err != nil {
		return written{}, err
	}
	if digest != "UNSIGNED-PAYLOAD" && digest != "" && digest != partial.sha256 {
		return written{}, errors.Join(os.Remove(partial.path),
			refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body's digest is %s", partial.sha256))
	}
	return partial, nil
}

func (f *front) begin(w http.ResponseWriter, r *http.Request, object object) error {
	upload, err := f.shelf.begin(headersToKeep(r.Header))
	if err != nil {
		return err
	}
	writeXML(w, http.StatusOK, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadId string
	}{Bucket: object.bucket, Key: object.key, UploadId: upload})
	return nil
}

func (f *front) putPart(w http.ResponseWriter, r *http.Request, upload, number string) error {
	part, err := strconv.Atoi(number)
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidArgument", "%q is no part number", number)
	}
	partial, err := f.receive(r)
	if err != nil {
		return err
	}
	if err := f.shelf.placePart(partial, upload, part); err != nil {
		return err
	}
	w.Header().Set("ETag", partial.etag())
	return nil
}

func (f *front) complete(w http.ResponseWriter, r *http.Request, object object, upload string) error {
	var wanted struct {
		Part []struct{ PartNumber int }
	}
	if err := xml.NewDecoder(r.Body).Decode(&wanted); err != nil {
		return refuse(http.StatusBadRequest, "MalformedXML", "the list of parts: %v", err)
	}
	var parts []int
	for _, part := range wanted.Part {
		parts = append(parts, part.PartNumber)
	}
	etag, err := f.shelf.complete(upload, parts, object)
	if err != nil {
		return err
	}
	writeXML(w, http.StatusOK, struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket  string
		Key     string
		ETag    string
	}{Bucket: object.bucket, Key: object.key, ETag: etag})
	return nil
}

// answer tells that something is gone.
func answer(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func unknown(r *http.Request) error {
	return refuse(http.StatusNotImplemented, "NotImplemented", "%s %s is not known here", r.Method, r.URL)
}
