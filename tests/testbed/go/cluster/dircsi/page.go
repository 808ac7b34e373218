package main

import (
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tokenPrefix marks a page token, so that any other text is refused. The token
// names the last id that was answered: additions and removals between two
// pages neither repeat nor lose the others.
const tokenPrefix = "after:"

// page cuts the part after token, at most limit objects long (0: no limit),
// from objects ordered by id.
func page[T any](objects []*T, id func(*T) string, token string, limit int32) (part []*T, next string, err error) {
	if limit < 0 {
		return nil, "", status.Error(codes.InvalidArgument, "max entries cannot be negative")
	}
	if token != "" {
		last, ok := strings.CutPrefix(token, tokenPrefix)
		if !ok {
			return nil, "", status.Errorf(codes.Aborted, "starting token %q is not from here", token)
		}
		start := slices.IndexFunc(objects, func(object *T) bool { return id(object) > last })
		if start < 0 {
			return nil, "", nil
		}
		objects = objects[start:]
	}
	if limit == 0 || len(objects) <= int(limit) {
		return objects, "", nil
	}
	part = objects[:limit]
	return part, tokenPrefix + id(part[limit-1]), nil
}
