package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// node publishes a volume as a symlink to its directory: no mounts, and so no
// privileges. A testbed without kubelet never calls it; it makes the driver
// whole, and is held to the sanity suite like the rest.
type node struct {
	csi.UnimplementedNodeServer
	id    string
	store *Store
}

func (n *node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	response := &csi.NodeGetCapabilitiesResponse{}
	for _, capability := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
	} {
		response.Capabilities = append(response.Capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: capability}},
		})
	}
	return response, nil
}

// NodeGetInfo names no topology: each volume is reachable from everywhere.
func (n *node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.id}, nil
}

// NodeStageVolume only checks: a directory needs no preparation on a node.
func (n *node) NodeStageVolume(_ context.Context, req *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if req.GetStagingTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "staging target path is missing")
	}
	if err := n.check(req.GetVolumeId(), req.GetVolumeCapability()); err != nil {
		return nil, err
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

func (n *node) NodeUnstageVolume(_ context.Context, req *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if req.GetVolumeId() == "" || req.GetStagingTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id or staging target path is missing")
	}
	return &csi.NodeUnstageVolumeResponse{}, nil
}

func (n *node) NodePublishVolume(_ context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	target := req.GetTargetPath()
	if target == "" {
		return nil, status.Error(codes.InvalidArgument, "target path is missing")
	}
	if err := n.check(req.GetVolumeId(), req.GetVolumeCapability()); err != nil {
		return nil, err
	}
	if req.GetReadonly() {
		return nil, status.Error(codes.InvalidArgument, "a symlink cannot be published read-only")
	}
	data := n.store.volumes.data(req.GetVolumeId())
	err := os.Symlink(data, target)
	if errors.Is(err, fs.ErrExist) {
		if there, _ := os.Readlink(target); there == data {
			return &csi.NodePublishVolumeResponse{}, nil
		}
		return nil, status.Errorf(codes.AlreadyExists, "%s exists and is not volume %q", target, req.GetVolumeId())
	}
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume works for a volume that is gone, too: its symlink may not be.
func (n *node) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	target := req.GetTargetPath()
	if req.GetVolumeId() == "" || target == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id or target path is missing")
	}
	there, err := os.Readlink(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &csi.NodeUnpublishVolumeResponse{}, nil
	case err != nil || there != n.store.volumes.data(req.GetVolumeId()):
		return nil, status.Errorf(codes.Internal, "%s is not volume %q: left alone", target, req.GetVolumeId())
	}
	if err := os.Remove(target); err != nil {
		return nil, grpcError(err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeExpandVolume has nothing to do: sizes are not enforced.
func (n *node) NodeExpandVolume(_ context.Context, req *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if req.GetVolumePath() == "" {
		return nil, status.Error(codes.InvalidArgument, "volume path is missing")
	}
	volume, err := n.volume(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: volume.CapacityBytes}, nil
}

func (n *node) NodeGetVolumeStats(_ context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if req.GetVolumePath() == "" {
		return nil, status.Error(codes.InvalidArgument, "volume path is missing")
	}
	volume, err := n.volume(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	data := n.store.volumes.data(volume.ID)
	if there, _ := os.Readlink(req.GetVolumePath()); there != data {
		return nil, status.Errorf(codes.NotFound, "volume %q is not published at %s", volume.ID, req.GetVolumePath())
	}
	bytes, entries, err := usage(data)
	if err != nil {
		return nil, grpcError(err)
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: volume.CapacityBytes, Used: bytes, Available: max(0, volume.CapacityBytes-bytes)},
		{Unit: csi.VolumeUsage_INODES, Used: entries},
	}}, nil
}

// check refuses a request for no volume, an unknown one, or without a capability.
func (n *node) check(volumeID string, capability *csi.VolumeCapability) error {
	if volumeID == "" {
		return status.Error(codes.InvalidArgument, "volume id is missing")
	}
	if capability == nil {
		return status.Error(codes.InvalidArgument, "volume capability is missing")
	}
	if err := checkCapabilities([]*csi.VolumeCapability{capability}); err != nil {
		return err
	}
	_, err := n.volume(volumeID)
	return err
}

func (n *node) volume(id string) (*Volume, error) {
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id is missing")
	}
	volume, err := n.store.volumes.get(id)
	if errors.Is(err, ErrNotFound) {
		return nil, status.Errorf(codes.NotFound, "volume %q does not exist", id)
	}
	if err != nil {
		return nil, grpcError(err)
	}
	return volume, nil
}

// usage sums up the sizes of a tree's files, in bytes, and counts its entries.
func usage(tree string) (bytes, entries int64, err error) {
	err = filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		entries++
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("usage of %s: %w", tree, err)
	}
	return bytes, entries, nil
}
