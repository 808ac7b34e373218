package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fault is one disturbance that a test asks for; the usage text explains the fields.
type fault struct {
	ID         string     `json:"id"`
	Method     string     `json:"method"`
	Match      string     `json:"match"`
	DelayMs    int64      `json:"delayMs"`
	Code       codes.Code `json:"code"` // OK (or absent): the call does not fail
	Message    string     `json:"message"`
	After      bool       `json:"after"`
	NotReadyMs int64      `json:"notReadyMs"`
	Times      int        `json:"times"`
}

// faults reads the faults file at each call, so that a test switches faults on
// and off while the driver runs.
type faults struct {
	file string // empty: no faults

	mu   sync.Mutex
	used map[string]int // calls that each fault applied to, by its id
}

// pick returns the fault for a call, or nil. A file that cannot be understood
// fails the call: a test whose fault is misspelt must not pass by luck.
func (f *faults) pick(method string, subjects []slog.Attr) (*fault, error) {
	list, err := readFaults(f.file)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "faults file %s: %v", f.file, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, candidate := range list {
		if !candidate.matches(method, subjects) || (candidate.Times > 0 && f.used[candidate.ID] >= candidate.Times) {
			continue
		}
		if f.used == nil {
			f.used = map[string]int{}
		}
		f.used[candidate.ID]++
		return &candidate, nil
	}
	return nil, nil
}

func (f *fault) matches(method string, subjects []slog.Attr) bool {
	if f.Method != "*" && f.Method != method {
		return false
	}
	return f.Match == "" || slices.ContainsFunc(subjects, func(subject slog.Attr) bool {
		return strings.Contains(subject.Value.String(), f.Match)
	})
}

// play runs a call under the fault; a nil fault changes nothing.
func (f *fault) play(ctx context.Context, call func(context.Context) (any, error)) (any, error) {
	if f == nil {
		return call(ctx)
	}
	select {
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-time.After(milliseconds(f.DelayMs)):
	}
	if f.Code != codes.OK && !f.After {
		return nil, f.failure()
	}
	response, err := call(context.WithValue(ctx, notReadyKey{}, milliseconds(f.NotReadyMs)))
	if err == nil && f.Code != codes.OK {
		return nil, f.failure()
	}
	return response, err
}

func (f *fault) failure() error {
	if f.Message == "" {
		return status.Errorf(f.Code, "fault %s", f.ID)
	}
	return status.Error(f.Code, f.Message)
}

type notReadyKey struct{}

// notReadyFor is how long a snapshot cut by this call is to be unready.
func notReadyFor(ctx context.Context) time.Duration {
	wait, _ := ctx.Value(notReadyKey{}).(time.Duration)
	return wait
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func readFaults(file string) ([]fault, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(bytes.TrimSpace(content)) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var list []fault
	if err := decoder.Decode(&list); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("more follows the list of faults")
	}
	seen := map[string]bool{}
	for _, f := range list {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("fault %q: %w", f.ID, err)
		}
		if seen[f.ID] {
			return nil, fmt.Errorf("fault %q is there twice", f.ID)
		}
		seen[f.ID] = true
	}
	return list, nil
}

func (f *fault) check() error {
	switch {
	case f.ID == "":
		return errors.New("id is missing")
	case f.Method != "*" && !methods[f.Method]:
		return fmt.Errorf("method %q is not one of CSI's, nor *", f.Method)
	case f.DelayMs < 0 || f.NotReadyMs < 0 || f.Times < 0:
		return errors.New("delayMs, notReadyMs and times cannot be negative")
	case f.NotReadyMs > 0 && f.Method != "CreateSnapshot":
		return errors.New("notReadyMs is for CreateSnapshot only")
	case f.After && f.Code == codes.OK:
		return errors.New("after without code does nothing")
	}
	return nil
}

// methods holds the short names of all methods that this driver serves.
var methods = func() map[string]bool {
	names := map[string]bool{}
	for _, service := range []grpc.ServiceDesc{csi.Identity_ServiceDesc, csi.Controller_ServiceDesc, csi.Node_ServiceDesc} {
		for _, method := range service.Methods {
			names[method.MethodName] = true
		}
	}
	return names
}()
