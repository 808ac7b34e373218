package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// owner is the one user of the store.
type owner struct {
	accessKey string
	secretKey string
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// signed is what a request says of its signature (Signature Version 4), be it
// in its Authorization header or, presigned, in its query.
type signed struct {
	credential string
	headers    string
	signature  string
	time       string
	payload    string
}

// admit lets a request pass that the owner has signed. The clock plays no part
// but in URLs that expire: tests have clocks that are wrong.
func (o owner) admit(r *http.Request) error {
	said, err := readSignature(r)
	if err != nil {
		return err
	}
	accessKey, scope, _ := strings.Cut(said.credential, "/")
	if accessKey != o.accessKey {
		return refuse(http.StatusForbidden, "InvalidAccessKeyId", "nobody has the access key %q", accessKey)
	}
	if !hmac.Equal([]byte(said.signature), []byte(o.sign(r, said, scope))) {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "the signature is not that of the secret key")
	}
	return nil
}

func readSignature(r *http.Request) (signed, error) {
	query := r.URL.Query()
	if query.Has("X-Amz-Signature") {
		said := signed{
			credential: query.Get("X-Amz-Credential"),
			headers:    query.Get("X-Amz-SignedHeaders"),
			signature:  query.Get("X-Amz-Signature"),
			time:       query.Get("X-Amz-Date"),
			payload:    "UNSIGNED-PAYLOAD",
		}
		begun, err := time.Parse(timeFormat, said.time)
		seconds, notANumber := strconv.Atoi(query.Get("X-Amz-Expires"))
		if err != nil || notANumber != nil {
			return said, refuse(http.StatusBadRequest, "AuthorizationQueryParametersError", "the URL does not say until when it is good")
		}
		if time.Since(begun) > time.Duration(seconds)*time.Second {
			return said, refuse(http.StatusForbidden, "AccessDenied", "the URL has expired")
		}
		return said, nil
	}
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !ok {
		return signed{}, refuse(http.StatusForbidden, "AccessDenied", "the request is not signed")
	}
	said := signed{time: r.Header.Get("X-Amz-Date"), payload: r.Header.Get("X-Amz-Content-Sha256")}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			said.credential = value
		case "SignedHeaders":
			said.headers = value
		case "Signature":
			said.signature = value
		}
	}
	return said, nil
}

// sign computes the signature that a request should have. The scope is
// DATE/REGION/SERVICE/aws4_request; any region will do.
func (o owner) sign(r *http.Request, said signed, scope string) string {
	canonical := strings.Join([]string{
		r.Method,
		r.URL.EscapedPath(),
		canonicalQuery(r.URL.Query()),
		canonicalHeaders(r, said.headers),
		said.headers,
		said.payload,
	}, "\n")
	digest := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{algorithm, said.time, scope, hex.EncodeToString(digest[:])}, "\n")
	key := []byte("AWS4" + o.secretKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	hash := hmac.New(sha256.New, key)
	hash.Write([]byte(text))
	return hash.Sum(nil)
}

func canonicalQuery(query url.Values) string {
	query.Del("X-Amz-Signature")
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape is Go's escaping, but for the space.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func canonicalHeaders(r *http.Request, names string) string {
	var lines strings.Builder
	for name := range strings.SplitSeq(names, ";") {
		values := r.Header.Values(name)
		switch name { // what Go takes out of the headers
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		plain := make([]string, 0, len(values))
		for _, value := range values {
			plain = append(plain, strings.Join(strings.Fields(value), " "))
		}
		lines.WriteString(name + ":" + strings.Join(plain, ",") + "\n")
	}
	return lines.String()
}
