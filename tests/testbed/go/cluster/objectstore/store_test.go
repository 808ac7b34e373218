package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var anna = owner{accessKey: "anna", secretKey: "secret"}

// store is a running server with the one bucket "b".
type store struct {
	t    *testing.T
	root string
	url  string
}

func start(t *testing.T) store {
	root, scratch := t.TempDir(), t.TempDir()
	shelf, err := openShelf(root, scratch)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&front{owner: anna, shelf: shelf})
	t.Cleanup(server.Close)
	return store{t: t, root: root, url: server.URL}
}

// ask sends a request that who has signed. It gives the status and the body.
func (s store) ask(who owner, method, target, body string, headers ...string) (int, string) {
	s.t.Helper()
	return s.send(s.signed(who, method, target, body, headers...))
}

func (s store) signed(who owner, method, target, body string, headers ...string) *http.Request {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(body))
	said := signed{
		headers: "host;x-amz-content-sha256;x-amz-date",
		time:    "20260102T030405Z",
		payload: hex.EncodeToString(digest[:]),
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "X-Amz-Content-Sha256" {
			said.payload = headers[i+1]
		}
	}
	request.Header.Set("X-Amz-Date", said.time)
	request.Header.Set("X-Amz-Content-Sha256", said.payload)
	const scope = "20260102/anywhere/s3/aws4_request"
	request.Host = request.URL.Host
	request.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, who.accessKey, scope, said.headers, who.sign(request, said, scope)))
	return request
}

func (s store) send(request *http.Request) (int, string) {
	s.t.Helper()
	status, _, body := s.exchange(request)
	return status, body
}

func (s store) exchange(request *http.Request) (int, http.Header, string) {
	s.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(answer)
}

// wantHeader asks as anna what an object is labelled with.
func (s store) wantHeader(target, name, want string) {
	s.t.Helper()
	request := s.signed(anna, http.MethodHead, target, "")
	if status, headers, _ := s.exchange(request); status != http.StatusOK || headers.Get(name) != want {
		s.t.Errorf("%s of %s: %d %q, want %q", name, target, status, headers.Get(name), want)
	}
}

// want asks as anna, and wants a status and a part of the answer.
func (s store) want(status int, part, method, target, body string, headers ...string) string {
	s.t.Helper()
	got, answer := s.ask(anna, method, target, body, headers...)
	if got != status || !strings.Contains(answer, part) {
		s.t.Fatalf("%s %s: %d %s, want %d with %q", method, target, got, answer, status, part)
	}
	return answer
}

// The examples of "Authenticating Requests" in the S3 API reference.
func TestSignaturesOfTheReference(t *testing.T) {
	them := owner{accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	const scope = "20130524/us-east-1/s3/aws4_request"
	nothing := sha256.Sum256(nil)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://examplebucket.s3.amazonaws.com/test.txt", nil)
	said := signed{
		headers: "host;range;x-amz-content-sha256;x-amz-date",
		time:    "20130524T000000Z",
		payload: hex.EncodeToString(nothing[:]),
	}
	request.Header.Set("Range", "bytes=0-9")
	request.Header.Set("X-Amz-Date", said.time)
	request.Header.Set("X-Amz-Content-Sha256", said.payload)
	if got := them.sign(request, said, scope); got != "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" {
		t.Errorf("in the header: %s", got)
	}
	said.headers, said.payload = "host", "UNSIGNED-PAYLOAD"
	request.URL.RawQuery = "X-Amz-Algorithm=" + algorithm + "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
	if got := them.sign(request, said, scope); got != "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404" {
		t.Errorf("presigned: %s", got)
	}
}

func TestOnlyTheOwnerIsAdmitted(t *testing.T) {
	s := start(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/b?list-type=2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := s.send(request); status != http.StatusForbidden || !strings.Contains(answer, "AccessDenied") {
		t.Errorf("unsigned: %d %s", status, answer)
	}
	for want, who := range map[string]owner{
		"InvalidAccessKeyId":    {accessKey: "berta", secretKey: anna.secretKey},
		"SignatureDoesNotMatch": {accessKey: anna.accessKey, secretKey: "guessed"},
	} {
		if status, answer := s.ask(who, http.MethodPut, "/b/key", "x"); status != http.StatusForbidden || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", want, status, answer)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(s.root, "b")); err != nil || len(entries) > 0 {
		t.Errorf("the bucket holds %v (%v)", entries, err)
	}
}

func TestAPresignedURLExpires(t *testing.T) {
	s := start(t)
	s.want(http.StatusOK, "", http.MethodPut, "/b/key", "content")
	for age, want := range map[time.Duration]int{time.Minute: http.StatusOK, time.Hour: http.StatusForbidden} {
		said := signed{headers: "host", time: time.Now().Add(-age).UTC().Format(timeFormat), payload: "UNSIGNED-PAYLOAD"}
		const scope = "20260102/anywhere/s3/aws4_request"
		query := fmt.Sprintf("X-Amz-Credential=%s%%2F%s&X-Amz-Date=%s&X-Amz-Expires=600&X-Amz-SignedHeaders=host",
			anna.accessKey, strings.ReplaceAll(scope, "/", "%2F"), said.time)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/b/key?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.RawQuery += "&X-Amz-Signature=" + anna.sign(request, said, scope)
		if status, answer := s.send(request); status != want {
			t.Errorf("after %s: %d %s, want %d", age, status, answer, want)
		}
	}
}

func TestObjectsAreFiles(t *testing.T) {
	s := start(t)
	key := "/b/" + strings.Repeat("a-long-part-of-a-key/", 20) + "%C3%A4 b+c"
	key = strings.ReplaceAll(key, " ", "%20")
	s.want(http.StatusOK, "", http.MethodPut, key, "content")
	s.want(http.StatusOK, "content", http.MethodGet, key, "")
	s.want(http.StatusPartialContent, "nt", http.MethodGet, key, "", "Range", "bytes=2-3")
	s.want(http.StatusOK, "", http.MethodHead, key, "")
	s.want(http.StatusOK, "", http.MethodPut, key, "other")
	file := filepath.Join(s.root, "b", strings.Repeat("a-long-part-of-a-key/", 20), "ä b+c")
	if content, err := os.ReadFile(file); string(content) != "other" {
		t.Errorf("%q %v", content, err)
	}
	for range 2 { // what is gone stays gone, and that is no error
		s.want(http.StatusNoContent, "", http.MethodDelete, key, "")
	}
	s.want(http.StatusNotFound, "NoSuchKey", http.MethodGet, key, "")
	s.want(http.StatusNotFound, "", http.MethodHead, key, "")
	if entries, err := os.ReadDir(filepath.Join(s.root, "b")); err != nil || len(entries) > 0 {
		t.Errorf("empty folders are left: %v (%v)", entries, err)
	}
}

func TestWhatIsWrongIsRefused(t *testing.T) {
	s := start(t)
	s.want(http.StatusNotFound, "NoSuchBucket", http.MethodPut, "/absent/key", "x")
	s.want(http.StatusBadRequest, "InvalidBucketName", http.MethodPut, "/../key", "x")
	s.want(http.StatusBadRequest, "InvalidArgument", http.MethodPut, "/b/a/../key", "x")
	s.want(http.StatusBadRequest, "InvalidArgument", http.MethodPut, "/b/folder/", "x")
	s.want(http.StatusNotImplemented, "NotImplemented", http.MethodGet, "/b/key?acl", "")
	s.want(http.StatusNotImplemented, "NotImplemented", http.MethodGet, "/b?versions", "")
	other := sha256.Sum256([]byte("other"))
	s.want(http.StatusBadRequest, "XAmzContentSHA256Mismatch", http.MethodPut, "/b/key", "x",
		"X-Amz-Content-Sha256", hex.EncodeToString(other[:]))
	s.want(http.StatusNotFound, "NoSuchUpload", http.MethodDelete, "/b/key?uploadId=upload-..", "")
	s.want(http.StatusNotFound, "NoSuchKey", http.MethodGet, "/b/key", "")
}

func TestAnUploadInParts(t *testing.T) {
	s := start(t)
	var begun struct{ UploadId string }
	if err := xml.Unmarshal([]byte(s.want(http.StatusOK, "upload-", http.MethodPost, "/b/big?uploads", "")), &begun); err != nil {
		t.Fatal(err)
	}
	upload := "/b/big?uploadId=" + begun.UploadId
	s.want(http.StatusOK, "", http.MethodPut, upload+"&partNumber=2", "second")
	list := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part><Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>"
	s.want(http.StatusBadRequest, "InvalidPart", http.MethodPost, upload, list)
	s.want(http.StatusOK, "", http.MethodPut, upload+"&partNumber=1", "first")
	s.want(http.StatusNotFound, "NoSuchKey", http.MethodGet, "/b/big", "")
	s.want(http.StatusOK, "ETag", http.MethodPost, upload, list)
	s.want(http.StatusOK, "firstsecond", http.MethodGet, "/b/big", "")
	s.want(http.StatusNotFound, "NoSuchUpload", http.MethodDelete, upload, "")
}

func TestObjectsAreLabelled(t *testing.T) {
	s := start(t)
	const name = "X-Amz-Meta-Mode"
	s.want(http.StatusOK, "", http.MethodPut, "/b/key", "content", name, "100755", "Content-Type", "text/x")
	s.wantHeader("/b/key", name, "100755")
	s.wantHeader("/b/key", "Content-Type", "text/x")
	s.wantHeader("/b/key", "ETag", `"9a0364b9e99bb480dd25e1f0284c8555"`) // its MD5
	s.want(http.StatusOK, "CopyObjectResult", http.MethodPut, "/b/a/kept", "", copySource, "/b/key")
	s.want(http.StatusOK, "CopyObjectResult", http.MethodPut, "/b/a/n%C3%A4w", "", copySource, "b/a%2Fkept",
		"X-Amz-Metadata-Directive", "REPLACE", name, "100644")
	s.want(http.StatusOK, "content", http.MethodGet, "/b/a/n%C3%A4w", "")
	s.wantHeader("/b/a/kept", name, "100755")
	s.wantHeader("/b/a/n%C3%A4w", name, "100644")
	s.want(http.StatusNotFound, "NoSuchKey", http.MethodPut, "/b/x", "", copySource, "/b/absent")

	var begun struct{ UploadId string }
	answer := s.want(http.StatusOK, "upload-", http.MethodPost, "/b/big?uploads", "", name, "100600")
	if err := xml.Unmarshal([]byte(answer), &begun); err != nil {
		t.Fatal(err)
	}
	upload := "/b/big?uploadId=" + begun.UploadId
	s.want(http.StatusOK, "", http.MethodPut, upload+"&partNumber=1", "x")
	s.want(http.StatusOK, "", http.MethodPost, upload,
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>")
	s.wantHeader("/b/big", name, "100600")
	s.wantHeader("/b/big", "ETag", `"9affad555af89da9b0bfcd5e45bc93da-1"`) // of its parts' MD5s

	// Neither another version nor what a test writes has the label of the one before.
	s.want(http.StatusOK, "", http.MethodPut, "/b/key", "content")
	s.wantHeader("/b/key", name, "")
	if err := os.WriteFile(filepath.Join(s.root, "b", "big"), []byte("spoilt"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.wantHeader("/b/big", name, "")
	s.want(http.StatusNoContent, "", http.MethodDelete, "/b/a/kept", "")
	if err := os.WriteFile(filepath.Join(s.root, "b", "a", "kept"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.wantHeader("/b/a/kept", name, "")
}

func TestEmptyFoldersAreMarked(t *testing.T) {
	s := start(t)
	folder := filepath.Join(s.root, "b", "p", "q")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s.want(http.StatusNotFound, "", http.MethodHead, "/b/p/q/", "") // no object by itself
	s.want(http.StatusBadRequest, "InvalidArgument", http.MethodPut, "/b/p/q/", "x")
	s.want(http.StatusOK, "", http.MethodPut, "/b/p/q/", "", "X-Amz-Meta-Mtime", "1")
	s.wantHeader("/b/p/q/", "X-Amz-Meta-Mtime", "1")
	s.want(http.StatusNotFound, "", http.MethodHead, "/b/p/q", "")
	for query, want := range map[string]string{
		"":                         "<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>p/q/</Key>",
		"&prefix=p/&delimiter=/":   "<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes>",
		"&prefix=p/q/&delimiter=/": "<Contents><Key>p/q/</Key>",
	} {
		s.want(http.StatusOK, want, http.MethodGet, "/b?list-type=2"+query, "")
	}
	s.want(http.StatusOK, "", http.MethodPut, "/b/p/q/file", "x")
	s.want(http.StatusNoContent, "", http.MethodDelete, "/b/p/q/file", "")
	s.wantHeader("/b/p/q/", "X-Amz-Meta-Mtime", "1") // an object goes when it is deleted
	s.want(http.StatusNoContent, "", http.MethodDelete, "/b/p/q/", "")
	s.want(http.StatusNotFound, "NoSuchKey", http.MethodGet, "/b/p/q/", "")
	if entries, err := os.ReadDir(filepath.Join(s.root, "b")); err != nil || len(entries) > 0 {
		t.Errorf("empty folders are left: %v (%v)", entries, err)
	}
}

func TestKeysAreEncodedOnDemand(t *testing.T) {
	s := start(t)
	s.want(http.StatusOK, "", http.MethodPut, "/b/p%01/new%0Aline+%25", "x")
	s.want(http.StatusOK, "<Key>p%01%2Fnew%0Aline%2B%25</Key>", http.MethodGet, "/b?list-type=2&encoding-type=url", "")
	s.want(http.StatusOK, "<Prefix>p%01%2F</Prefix></CommonPrefixes>", http.MethodGet,
		"/b?list-type=2&encoding-type=url&delimiter=/", "")
	s.want(http.StatusBadRequest, "InvalidArgument", http.MethodGet, "/b?list-type=2&encoding-type=base64", "")
}

func TestListingsComeInPages(t *testing.T) {
	s := start(t)
	for _, key := range []string{"p/b/1", "p/b/2", "p/a", "p/c/1", "p/d", "q", "p-"} {
		s.want(http.StatusOK, "", http.MethodPut, "/b/"+key, key)
	}
	all := func(query string) []string {
		var found []string
		token := ""
		for {
			var page listing
			text := s.want(http.StatusOK, "", http.MethodGet, "/b?list-type=2&max-keys=2"+query+token, "")
			if err := xml.Unmarshal([]byte(text), &page); err != nil {
				t.Fatal(err)
			}
			for _, object := range page.Contents {
				found = append(found, object.Key)
			}
			for _, group := range page.CommonPrefixes {
				found = append(found, group.Prefix)
			}
			if !page.IsTruncated {
				slices.Sort(found)
				return found
			}
			token = "&continuation-token=" + page.NextContinuationToken
		}
	}
	for query, want := range map[string][]string{
		"":                           {"p-", "p/a", "p/b/1", "p/b/2", "p/c/1", "p/d", "q"},
		"&prefix=p/":                 {"p/a", "p/b/1", "p/b/2", "p/c/1", "p/d"},
		"&prefix=p/&delimiter=/":     {"p/a", "p/b/", "p/c/", "p/d"},
		"&delimiter=/":               {"p-", "p/", "q"},
		"&prefix=p/&start-after=p/c": {"p/c/1", "p/d"},
	} {
		if got := all(query); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}
