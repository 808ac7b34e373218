package main

import (
	"context"
	"errors"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (c *controller) CreateSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if req.GetName() == "" || req.GetSourceVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "name or source volume id is missing")
	}
	var snapshot *Snapshot
	err := c.store.Exclusive(ctx, func() (err error) {
		snapshot, err = c.store.snapshots.get(idFor(req.GetName()))
		switch {
		case err == nil:
			return checkSameSnapshot(snapshot, req)
		case errors.Is(err, ErrNotFound):
			snapshot, err = c.cutSnapshot(ctx, req)
		}
		return err
	})
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: describeSnapshot(snapshot)}, nil
}

// cutSnapshot copies the volume's files as they are now.
func (c *controller) cutSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*Snapshot, error) {
	volume, err := c.volume(req.GetSourceVolumeId())
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	snapshot := &Snapshot{
		ID:           idFor(req.GetName()),
		Name:         req.GetName(),
		SourceVolume: volume.ID,
		SizeBytes:    volume.CapacityBytes,
		CreatedAt:    now,
		ReadyAt:      now.Add(notReadyFor(ctx)),
	}
	return snapshot, c.store.snapshots.add(ctx, snapshot.ID, snapshot, c.store.volumes.data(volume.ID))
}

func (c *controller) DeleteSnapshot(ctx context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if req.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "snapshot id is missing")
	}
	err := c.store.Exclusive(ctx, func() error { return c.store.snapshots.remove(req.GetSnapshotId()) })
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

// ListSnapshots is how csi-snapshotter resolves the handle of a snapshot that
// its own cluster did not make. An id or volume that is unknown gives an empty
// list, as CSI has it.
func (c *controller) ListSnapshots(_ context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	matching, err := c.matchingSnapshots(req)
	if err != nil {
		return nil, grpcError(err)
	}
	snapshots, next, err := page(matching, func(s *Snapshot) string { return s.ID }, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	response := &csi.ListSnapshotsResponse{NextToken: next}
	for _, snapshot := range snapshots {
		response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: describeSnapshot(snapshot)})
	}
	return response, nil
}

func (c *controller) matchingSnapshots(req *csi.ListSnapshotsRequest) ([]*Snapshot, error) {
	var candidates []*Snapshot
	if id := req.GetSnapshotId(); id != "" { // asked for every snapshot by csi-snapshotter: no walk
		snapshot, err := c.store.snapshots.get(id)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		candidates = []*Snapshot{snapshot}
	} else {
		var err error
		if candidates, err = c.store.snapshots.list(); err != nil {
			return nil, err
		}
	}
	var matching []*Snapshot
	for _, snapshot := range candidates {
		if volume := req.GetSourceVolumeId(); volume == "" || volume == snapshot.SourceVolume {
			matching = append(matching, snapshot)
		}
	}
	return matching, nil
}

func (c *controller) GetSnapshot(_ context.Context, req *csi.GetSnapshotRequest) (*csi.GetSnapshotResponse, error) {
	if req.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "snapshot id is missing")
	}
	snapshot, err := c.store.snapshots.get(req.GetSnapshotId())
	if errors.Is(err, ErrNotFound) {
		return nil, status.Errorf(codes.NotFound, "snapshot %q does not exist", req.GetSnapshotId())
	}
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.GetSnapshotResponse{Snapshot: describeSnapshot(snapshot)}, nil
}

func describeSnapshot(snapshot *Snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     snapshot.ID,
		SourceVolumeId: snapshot.SourceVolume,
		SizeBytes:      snapshot.SizeBytes,
		CreationTime:   timestamppb.New(snapshot.CreatedAt),
		ReadyToUse:     snapshot.ready(time.Now()),
	}
}

// checkSameSnapshot decides whether a snapshot that has the request's id is the
// one that the request asks for.
func checkSameSnapshot(snapshot *Snapshot, req *csi.CreateSnapshotRequest) error {
	switch {
	case snapshot.Name != req.GetName():
		return status.Errorf(codes.AlreadyExists, "snapshot %q exists with a different name", snapshot.ID)
	case snapshot.SourceVolume != req.GetSourceVolumeId():
		return status.Errorf(codes.AlreadyExists, "snapshot %q exists, of volume %q", snapshot.ID, snapshot.SourceVolume)
	}
	return nil
}
