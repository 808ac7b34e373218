package main

import (
	"context"
	"log/slog"
	"path"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// calls wraps every call: it plays the faults and writes one line per call.
type calls struct {
	faults *faults
	log    *slog.Logger
}

func (c *calls) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	begin := time.Now()
	method, subjects := path.Base(info.FullMethod), subjectsOf(req)

	var response any
	fault, err := c.faults.pick(method, subjects)
	if err == nil {
		response, err = fault.play(ctx, func(ctx context.Context) (any, error) { return handler(ctx, req) })
	}

	attrs := append([]slog.Attr{slog.String("method", method)}, subjects...)
	if fault != nil {
		attrs = append(attrs, slog.String("fault", fault.ID))
	}
	level, code := slog.LevelInfo, status.Code(err)
	attrs = append(attrs, slog.Duration("took", time.Since(begin)), slog.String("code", code.String()))
	if code != codes.OK {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", status.Convert(err).Message()))
	}
	c.log.LogAttrs(ctx, level, "call", attrs...)
	return response, err
}

// subjectsOf names what a request is about: for the log, and for faults to
// match. Fields that a request lacks or leaves empty are left out.
func subjectsOf(req any) []slog.Attr {
	var subjects []slog.Attr
	add := func(key, value string) {
		if value != "" {
			subjects = append(subjects, slog.String(key, value))
		}
	}
	if r, ok := req.(interface{ GetName() string }); ok {
		add("name", r.GetName())
	}
	if r, ok := req.(interface{ GetVolumeId() string }); ok {
		add("volume", r.GetVolumeId())
	}
	if r, ok := req.(interface{ GetSnapshotId() string }); ok {
		add("snapshot", r.GetSnapshotId())
	}
	if r, ok := req.(interface{ GetSourceVolumeId() string }); ok {
		add("source_volume", r.GetSourceVolumeId())
	}
	if r, ok := req.(*csi.CreateVolumeRequest); ok {
		add("source_volume", r.GetVolumeContentSource().GetVolume().GetVolumeId())
		add("source_snapshot", r.GetVolumeContentSource().GetSnapshot().GetSnapshotId())
	}
	return subjects
}
