package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

// refusal is an error that a client is told, by its name in the S3 API.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(status int, code, format string, args ...any) error {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func noSuchKey(key string) error {
	return refuse(http.StatusNotFound, "NoSuchKey", "there is no object %q", key)
}

// refusalOf gives every error a name and a status.
func refusalOf(err error) *refusal {
	var known *refusal
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, fs.ErrPermission):
		return &refusal{http.StatusForbidden, "AccessDenied", err.Error()}
	default:
		return &refusal{http.StatusInternalServerError, "InternalError", err.Error()}
	}
}

// write answers a request with the refusal.
func (r *refusal) write(w http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodHead {
		w.WriteHeader(r.status) // it has no body to say more
		return
	}
	writeXML(w, r.status, struct {
		XMLName  xml.Name `xml:"Error"`
		Code     string
		Message  string
		Resource string
	}{Code: r.code, Message: r.message, Resource: request.URL.Path})
}

func writeXML(w http.ResponseWriter, status int, answer any) {
	text, err := xml.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), text...)) // a client that is gone needs no answer
}
