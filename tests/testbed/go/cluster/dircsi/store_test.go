package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
)

func TestStateSurvivesReopening(t *testing.T) {
	root := t.TempDir()
	first := controllerOf(t, root)
	made := must[*csi.CreateVolumeResponse](t)(first.CreateVolume(t.Context(), volumeRequest("pvc-1"))).GetVolume()
	writeFile(t, filepath.Join(made.GetVolumeContext()["path"], "file"), "work")
	cut := must[*csi.CreateSnapshotResponse](t)(first.CreateSnapshot(t.Context(),
		&csi.CreateSnapshotRequest{Name: "snapshot-1", SourceVolumeId: made.GetVolumeId()})).GetSnapshot()

	second := controllerOf(t, root)
	again := must[*csi.CreateVolumeResponse](t)(second.CreateVolume(t.Context(), volumeRequest("pvc-1"))).GetVolume()
	if made.String() != again.String() {
		t.Errorf("the volume changed:\n%v\n%v", made, again)
	}
	listed := must[*csi.ListSnapshotsResponse](t)(second.ListSnapshots(t.Context(),
		&csi.ListSnapshotsRequest{SnapshotId: cut.GetSnapshotId()}))
	if len(listed.GetEntries()) != 1 || listed.GetEntries()[0].GetSnapshot().String() != cut.String() {
		t.Errorf("listed %v, want only %v", listed, cut)
	}
}

func TestRestoreHasTheFilesOfTheCut(t *testing.T) {
	c := controllerOf(t, t.TempDir())
	volume := must[*csi.CreateVolumeResponse](t)(c.CreateVolume(t.Context(), volumeRequest("pvc-1"))).GetVolume()
	path := volume.GetVolumeContext()["path"]
	writeFile(t, filepath.Join(path, "kept"), "as it was")
	want := portrait(t, path)
	must[*csi.CreateSnapshotResponse](t)(c.CreateSnapshot(t.Context(),
		&csi.CreateSnapshotRequest{Name: "snapshot-1", SourceVolumeId: volume.GetVolumeId()}))
	writeFile(t, filepath.Join(path, "kept"), "lost later")
	writeFile(t, filepath.Join(path, "later"), "new")
	must[*csi.DeleteVolumeResponse](t)(c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: volume.GetVolumeId()}))

	restored := must[*csi.CreateVolumeResponse](t)(c.CreateVolume(t.Context(), restoreRequest("pvc-2", "snapshot-1"))).GetVolume()
	if got := portrait(t, restored.GetVolumeContext()["path"]); !maps.Equal(want, got) {
		t.Errorf("restored %q, want %q", got, want)
	}
}

func TestIncompatibleRequestsAreRefused(t *testing.T) {
	c := controllerOf(t, t.TempDir())
	large := volumeRequest("large")
	large.CapacityRange = &csi.CapacityRange{RequiredBytes: 10 << 30}
	must[*csi.CreateVolumeResponse](t)(c.CreateVolume(t.Context(), large))
	must[*csi.CreateSnapshotResponse](t)(c.CreateSnapshot(t.Context(),
		&csi.CreateSnapshotRequest{Name: "of-large", SourceVolumeId: "large"}))

	_, err := c.CreateVolume(t.Context(), restoreRequest("large", "of-large"))
	wantCode(t, err, codes.AlreadyExists) // the same name, another source

	other := volumeRequest("large")
	other.Parameters = map[string]string{"kind": "other"}
	_, err = c.CreateVolume(t.Context(), other)
	wantCode(t, err, codes.AlreadyExists)

	small := restoreRequest("small", "of-large")
	small.CapacityRange = &csi.CapacityRange{LimitBytes: 1 << 30}
	_, err = c.CreateVolume(t.Context(), small)
	wantCode(t, err, codes.OutOfRange)

	block := volumeRequest("block")
	block.VolumeCapabilities[0].AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	_, err = c.CreateVolume(t.Context(), block)
	wantCode(t, err, codes.InvalidArgument)
}

func TestNamesNeverLeaveTheRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	c := controllerOf(t, root)
	writeFile(t, filepath.Join(root, "precious"), "")
	for _, name := range []string{"../precious", "..", ".tmp", "a/b", "ünïcode", strings.Repeat("x", 300)} {
		volume := must[*csi.CreateVolumeResponse](t)(c.CreateVolume(t.Context(), volumeRequest(name))).GetVolume()
		if filepath.Dir(filepath.Dir(volume.GetVolumeContext()["path"])) != filepath.Join(root, "volumes") || len(volume.GetVolumeId()) > 128 {
			t.Errorf("name %q became %v", name, volume)
		}
		must[*csi.DeleteVolumeResponse](t)(c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: name}))
	}
	if _, err := os.Stat(filepath.Join(root, "precious")); err != nil {
		t.Error(err)
	}
}

// TestTwoStoresShareARoot lets drivers of two clusters do the same things at
// once. A flock belongs to an open file, not to a process, so two stores in one
// process stand to each other as two processes do.
func TestTwoStoresShareARoot(t *testing.T) {
	root := t.TempDir()
	east, west := controllerOf(t, root), controllerOf(t, root)
	source := must[*csi.CreateVolumeResponse](t)(east.CreateVolume(t.Context(), volumeRequest("source"))).GetVolume()
	for i := range 20 {
		writeFile(t, filepath.Join(source.GetVolumeContext()["path"], fmt.Sprint(i)), fmt.Sprint("content ", i))
	}
	want := portrait(t, source.GetVolumeContext()["path"])

	const rounds = 20
	var created [2][rounds]time.Time
	var group sync.WaitGroup
	for side, c := range []*controller{east, west} {
		for round := range rounds {
			group.Go(func() {
				name := fmt.Sprint("snapshot-", round)
				cut, err := c.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: "source"})
				if err != nil {
					t.Error(err)
					return
				}
				created[side][round] = cut.GetSnapshot().GetCreationTime().AsTime()
				passing := fmt.Sprintf("passing-%d-%d", side, round)
				if _, err := c.CreateVolume(t.Context(), restoreRequest(passing, name)); err != nil {
					t.Error(err)
				}
				if _, err := c.ListVolumes(t.Context(), &csi.ListVolumesRequest{}); err != nil {
					t.Error(err)
				}
				if _, err := c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: passing}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()

	if created[0] != created[1] {
		t.Errorf("a snapshot was cut twice: %v and %v", created[0], created[1])
	}
	for round := range rounds {
		if got := portrait(t, west.store.snapshots.data(fmt.Sprint("snapshot-", round))); !maps.Equal(want, got) {
			t.Errorf("snapshot %d holds %q, want %q", round, got, want)
		}
	}
	if left := namesIn(t, filepath.Join(root, ".tmp")); len(left) > 0 {
		t.Errorf("left in scratch: %q", left)
	}
	if left := namesIn(t, filepath.Join(root, "volumes")); len(left) != 1 {
		t.Errorf("volumes are %q, want only the source", left)
	}
}

func TestWaitingForTheLockEndsWithTheCall(t *testing.T) {
	root := t.TempDir()
	east, west := controllerOf(t, root), controllerOf(t, root)
	err := east.store.Exclusive(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := west.CreateVolume(ctx, volumeRequest("late"))
		wantCode(t, err, codes.DeadlineExceeded)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	must[*csi.CreateVolumeResponse](t)(west.CreateVolume(t.Context(), volumeRequest("late")))
}
