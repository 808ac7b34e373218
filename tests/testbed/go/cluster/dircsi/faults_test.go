package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// served starts a driver with one volume, "source", that holds one file.
func served(t *testing.T) (Config, csi.ControllerClient) {
	t.Helper()
	config := configIn(t, t.TempDir())
	startServer(t, config)
	client := dial(t, config)
	volume := must[*csi.CreateVolumeResponse](t)(client.CreateVolume(t.Context(), volumeRequest("source"))).GetVolume()
	writeFile(t, filepath.Join(volume.GetVolumeContext()["path"], "file"), "work")
	return config, client
}

func snapshotRequest(name string) *csi.CreateSnapshotRequest {
	return &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: "source"}
}

func TestFaultEndsAfterItsTimes(t *testing.T) {
	config, client := served(t)
	writeFile(t, config.FaultsFile, `[{"id":"twice","method":"CreateSnapshot","match":"snapshot-1","code":"UNAVAILABLE","message":"as asked","times":2}]`)

	must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("another"))) // does not match
	for range 2 {
		_, err := client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1"))
		wantCode(t, err, codes.Unavailable)
		if message := status.Convert(err).Message(); message != "as asked" {
			t.Errorf("message %q", message)
		}
	}
	must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1")))
}

func TestFaultMatchesEachNameOfARequest(t *testing.T) {
	config, client := served(t)
	must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1")))
	cases := map[string]func() error{
		"pvc-7": func() error { // name
			_, err := client.CreateVolume(t.Context(), volumeRequest("pvc-7"))
			return err
		},
		"source": func() error { // source volume id
			_, err := client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-2"))
			return err
		},
		"snapshot-1": func() error { // snapshot id, as a source
			_, err := client.CreateVolume(t.Context(), restoreRequest("restored", "snapshot-1"))
			return err
		},
		"volume-9": func() error { // volume id
			_, err := client.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: "volume-9"})
			return err
		},
	}
	for match, call := range cases {
		writeFile(t, config.FaultsFile, `[{"id":"one","method":"*","match":"`+match+`","code":"RESOURCE_EXHAUSTED"}]`)
		wantCode(t, call(), codes.ResourceExhausted)
		writeFile(t, config.FaultsFile, "")
		wantCode(t, call(), codes.OK)
	}
}

func TestFaultDelays(t *testing.T) {
	config, client := served(t)
	writeFile(t, config.FaultsFile, `[{"id":"slow","method":"CreateSnapshot","delayMs":200,"times":1},{"id":"stuck","method":"CreateSnapshot","delayMs":3600000}]`)

	begin := time.Now()
	must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1")))
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("took %s, want at least 200 ms", took)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := client.CreateSnapshot(ctx, snapshotRequest("snapshot-2")) // the second fault in the list, now
	wantCode(t, err, codes.DeadlineExceeded)
	if names := namesIn(t, filepath.Join(config.Root, "snapshots")); len(names) != 1 {
		t.Errorf("snapshots %q, want only the first", names)
	}
}

func TestFaultLosesAReply(t *testing.T) {
	config, client := served(t)
	writeFile(t, config.FaultsFile, `[{"id":"lost","method":"CreateSnapshot","code":"UNAVAILABLE","after":true,"times":1}]`)

	_, err := client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1"))
	wantCode(t, err, codes.Unavailable)
	found := must[*csi.GetSnapshotResponse](t)(client.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{SnapshotId: "snapshot-1"}))
	again := must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1")))
	if found.GetSnapshot().String() != again.GetSnapshot().String() {
		t.Errorf("the retry cut another one: %v, then %v", found, again)
	}
}

func TestFaultDelaysReadinessAcrossARestart(t *testing.T) {
	config, client := served(t)
	writeFile(t, config.FaultsFile, `[{"id":"later","method":"CreateSnapshot","notReadyMs":700,"times":1}]`)
	path := filepath.Join(config.Root, "volumes", "source", "data")
	want := portrait(t, path)

	cut := must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1"))).GetSnapshot()
	if cut.GetReadyToUse() {
		t.Fatal("ready at once")
	}
	writeFile(t, filepath.Join(path, "file"), "after the cut")
	_, err := client.CreateVolume(t.Context(), restoreRequest("early", "snapshot-1"))
	wantCode(t, err, codes.Unavailable)

	reopened := controllerOf(t, config.Root)
	ask := func() *csi.Snapshot {
		listed := must[*csi.ListSnapshotsResponse](t)(reopened.ListSnapshots(t.Context(), &csi.ListSnapshotsRequest{SnapshotId: "snapshot-1"}))
		return listed.GetEntries()[0].GetSnapshot()
	}
	waitFor(t, "the snapshot to be ready", func() bool { return ask().GetReadyToUse() })
	if waited := time.Since(cut.GetCreationTime().AsTime()); waited < 700*time.Millisecond {
		t.Errorf("ready %s after its creation, want 700 ms", waited)
	}
	restored := must[*csi.CreateVolumeResponse](t)(client.CreateVolume(t.Context(), restoreRequest("restored", "snapshot-1")))
	if got := portrait(t, restored.GetVolume().GetVolumeContext()["path"]); !maps.Equal(want, got) {
		t.Errorf("restored %q, want what was there at the cut: %q", got, want)
	}
}

func TestFaultsFileMustMakeSense(t *testing.T) {
	config, client := served(t)
	for _, content := range []string{
		`{`,
		`[{"id":"x","method":"CreateSnapshot"`,
		`[{"id":"x","method":"CreateSnapshots"}]`,
		`[{"id":"x","method":"*","delay":1}]`,
		`[{"id":"x","method":"*","code":"NO_SUCH"}]`,
		`[{"id":"x","method":"*","delayMs":-1}]`,
		`[{"id":"x","method":"*","notReadyMs":1}]`,
		`[{"id":"x","method":"*","after":true}]`,
		`[{"method":"*"}]`,
		`[{"id":"x","method":"*"},{"id":"x","method":"*"}]`,
		`[] []`,
	} {
		writeFile(t, config.FaultsFile, content)
		_, err := client.ListVolumes(t.Context(), &csi.ListVolumesRequest{})
		if status.Code(err) != codes.Internal {
			t.Errorf("%s: got %v, want INTERNAL", content, err)
		}
	}
	if err := os.Remove(config.FaultsFile); err != nil {
		t.Fatal(err)
	}
	must[*csi.ListVolumesResponse](t)(client.ListVolumes(t.Context(), &csi.ListVolumesRequest{}))
}
