package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// defaultCapacity is recorded for a volume whose request names no size, in bytes.
const defaultCapacity = 1 << 30

func (c *controller) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "name is missing")
	}
	if err := checkCapabilities(req.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	var volume *Volume
	err := c.store.Exclusive(ctx, func() (err error) {
		volume, err = c.store.volumes.get(idFor(req.GetName()))
		switch {
		case err == nil:
			return checkSameVolume(volume, req)
		case errors.Is(err, ErrNotFound):
			volume, err = c.makeVolume(ctx, req)
		}
		return err
	})
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.CreateVolumeResponse{Volume: c.describeVolume(volume)}, nil
}

// makeVolume adds the volume of a request, with the files of its source if it
// has one.
func (c *controller) makeVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*Volume, error) {
	files, least, err := c.sourceOf(req.GetVolumeContentSource())
	if err != nil {
		return nil, err
	}
	capacity, err := capacityFor(req.GetCapacityRange(), least)
	if err != nil {
		return nil, err
	}
	volume := &Volume{
		ID:             idFor(req.GetName()),
		Name:           req.GetName(),
		CapacityBytes:  capacity,
		Parameters:     req.GetParameters(),
		SourceVolume:   req.GetVolumeContentSource().GetVolume().GetVolumeId(),
		SourceSnapshot: req.GetVolumeContentSource().GetSnapshot().GetSnapshotId(),
		CreatedAt:      time.Now().UTC(),
	}
	return volume, c.store.volumes.add(ctx, volume.ID, volume, files)
}

// sourceOf finds the files that a new volume starts with (empty path: none)
// and the capacity that it must have at least.
func (c *controller) sourceOf(source *csi.VolumeContentSource) (files string, least int64, err error) {
	switch source.GetType().(type) {
	case nil:
		return "", 0, nil
	case *csi.VolumeContentSource_Snapshot:
		id := source.GetSnapshot().GetSnapshotId()
		snapshot, err := c.store.snapshots.get(id)
		if errors.Is(err, ErrNotFound) {
			return "", 0, status.Errorf(codes.NotFound, "source snapshot %q does not exist", id)
		}
		if err != nil {
			return "", 0, err
		}
		if !snapshot.ready(time.Now()) {
			return "", 0, status.Errorf(codes.Unavailable, "source snapshot %q is not ready to use yet", id)
		}
		return c.store.snapshots.data(id), snapshot.SizeBytes, nil
	case *csi.VolumeContentSource_Volume:
		id := source.GetVolume().GetVolumeId()
		volume, err := c.store.volumes.get(id)
		if errors.Is(err, ErrNotFound) {
			return "", 0, status.Errorf(codes.NotFound, "source volume %q does not exist", id)
		}
		if err != nil {
			return "", 0, err
		}
		return c.store.volumes.data(id), volume.CapacityBytes, nil
	default:
		return "", 0, status.Errorf(codes.InvalidArgument, "unknown content source %T", source.GetType())
	}
}

func (c *controller) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id is missing")
	}
	err := c.store.Exclusive(ctx, func() error { return c.store.volumes.remove(req.GetVolumeId()) })
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controller) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	all, err := c.store.volumes.list()
	if err != nil {
		return nil, grpcError(err)
	}
	volumes, next, err := page(all, func(v *Volume) string { return v.ID }, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	response := &csi.ListVolumesResponse{NextToken: next}
	for _, volume := range volumes {
		response.Entries = append(response.Entries, &csi.ListVolumesResponse_Entry{Volume: c.describeVolume(volume)})
	}
	return response, nil
}

// ControllerExpandVolume records the new capacity: there is nothing to enlarge.
func (c *controller) ControllerExpandVolume(ctx context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetCapacityRange() == nil {
		return nil, status.Error(codes.InvalidArgument, "volume id or capacity range is missing")
	}
	var volume *Volume
	err := c.store.Exclusive(ctx, func() (err error) {
		if volume, err = c.volume(req.GetVolumeId()); err != nil {
			return err
		}
		volume.CapacityBytes, err = capacityFor(req.GetCapacityRange(), volume.CapacityBytes)
		if err != nil {
			return err
		}
		return c.store.volumes.rewrite(volume.ID, volume)
	})
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: volume.CapacityBytes}, nil
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" || len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "volume id or capabilities are missing")
	}
	if _, err := c.volume(req.GetVolumeId()); err != nil {
		return nil, grpcError(err)
	}
	if err := checkCapabilities(req.GetVolumeCapabilities()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: status.Convert(err).Message()}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext:      req.GetVolumeContext(),
		VolumeCapabilities: req.GetVolumeCapabilities(),
		Parameters:         req.GetParameters(),
	}}, nil
}

// volume reads a volume's record; NOT_FOUND if there is none.
func (c *controller) volume(id string) (*Volume, error) {
	volume, err := c.store.volumes.get(id)
	if errors.Is(err, ErrNotFound) {
		return nil, status.Errorf(codes.NotFound, "volume %q does not exist", id)
	}
	return volume, err
}

// describeVolume tells where the files are: csi-provisioner copies the context
// into the PersistentVolume.
func (c *controller) describeVolume(volume *Volume) *csi.Volume {
	described := &csi.Volume{
		VolumeId:      volume.ID,
		CapacityBytes: volume.CapacityBytes,
		VolumeContext: map[string]string{"path": c.store.volumes.data(volume.ID)},
	}
	switch {
	case volume.SourceSnapshot != "":
		described.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: volume.SourceSnapshot},
		}}
	case volume.SourceVolume != "":
		described.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
			Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: volume.SourceVolume},
		}}
	}
	return described
}

// checkSameVolume decides whether a volume that has the request's id is the one
// that the request asks for.
func checkSameVolume(volume *Volume, req *csi.CreateVolumeRequest) error {
	limit := req.GetCapacityRange().GetLimitBytes()
	var difference string
	switch {
	case volume.Name != req.GetName():
		difference = "name"
	case volume.CapacityBytes < req.GetCapacityRange().GetRequiredBytes(), limit > 0 && volume.CapacityBytes > limit:
		difference = "capacity"
	case volume.SourceVolume != req.GetVolumeContentSource().GetVolume().GetVolumeId(),
		volume.SourceSnapshot != req.GetVolumeContentSource().GetSnapshot().GetSnapshotId():
		difference = "content source"
	case !maps.Equal(volume.Parameters, req.GetParameters()):
		difference = "parameters"
	default:
		return nil
	}
	return status.Errorf(codes.AlreadyExists, "volume %q exists with a different %s", volume.ID, difference)
}

// capacityFor picks the capacity of a volume in bytes: what is required, at
// least that of its source.
func capacityFor(asked *csi.CapacityRange, least int64) (int64, error) {
	required, limit := asked.GetRequiredBytes(), asked.GetLimitBytes()
	if required < 0 || limit < 0 {
		return 0, status.Error(codes.InvalidArgument, "capacity cannot be negative")
	}
	capacity := required
	if required == 0 {
		capacity = defaultCapacity
		if limit > 0 {
			capacity = min(capacity, limit)
		}
	}
	capacity = max(capacity, least)
	if limit > 0 && capacity > limit {
		return 0, status.Errorf(codes.OutOfRange, "the volume needs %d bytes, the limit is %d", capacity, limit)
	}
	return capacity, nil
}

// checkCapabilities refuses what a directory cannot be: a block device.
func checkCapabilities(capabilities []*csi.VolumeCapability) error {
	if len(capabilities) == 0 {
		return status.Error(codes.InvalidArgument, "volume capabilities are missing")
	}
	for _, capability := range capabilities {
		if capability.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "volumes are directories: block access is not possible")
		}
	}
	return nil
}
