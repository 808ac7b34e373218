package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// TestKillInMidCopy ends the driver with SIGKILL while it copies, and wants the
// next one, on the same socket, to know nothing of the half copy.
func TestKillInMidCopy(t *testing.T) {
	config := configIn(t, t.TempDir())
	scratch := filepath.Join(config.Root, ".tmp")
	driver := startProcess(t, config)
	want, cutting := beginLongCopy(t, config)
	if err := driver.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = driver.Wait() // it was killed
	wantCode(t, <-cutting, codes.Unavailable)
	if left := namesIn(t, scratch); len(left) != 1 {
		t.Fatalf("the kill left %q in scratch, want the half copy", left)
	}

	startProcess(t, config)
	client := dial(t, config)
	listed := must[*csi.ListSnapshotsResponse](t)(client.ListSnapshots(t.Context(), &csi.ListSnapshotsRequest{}))
	if len(listed.GetEntries()) != 0 {
		t.Errorf("half a snapshot is listed: %v", listed)
	}
	if left := namesIn(t, scratch); len(left) != 0 {
		t.Errorf("after the restart scratch still holds %q", left)
	}
	must[*csi.CreateSnapshotResponse](t)(client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1")))
	wantSnapshot(t, config, want)
}

func TestSigtermLetsACopyFinish(t *testing.T) {
	config := configIn(t, t.TempDir())
	driver := startProcess(t, config)
	want, cutting := beginLongCopy(t, config)
	terminate(t, driver)
	if err := <-cutting; err != nil {
		t.Errorf("the call under way ended with %v", err)
	}
	wantSnapshot(t, config, want)
	if _, err := os.Lstat(strings.TrimPrefix(config.Endpoint, "unix://")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there (%v)", err)
	}
}

func TestSigtermCutsAStuckCallShort(t *testing.T) {
	config := configIn(t, t.TempDir())
	driver := startProcess(t, config)
	writeFile(t, config.FaultsFile, `[{"id":"stuck","method":"CreateVolume","delayMs":3600000}]`)
	conn := connect(t, config)
	stuck, err := conn.NewStream(t.Context(), &grpc.StreamDesc{}, csi.Controller_CreateVolume_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stuck.SendMsg(volumeRequest("pvc-1")), stuck.CloseSend()); err != nil {
		t.Fatal(err)
	}
	// The answer to a later call on the same connection says that the first is under way.
	must[*csi.ListVolumesResponse](t)(csi.NewControllerClient(conn).ListVolumes(t.Context(), &csi.ListVolumesRequest{}))

	begin := time.Now()
	terminate(t, driver)
	if took := time.Since(begin); took < stopPatience || took > stopPatience+patience {
		t.Errorf("took %s to stop, want little more than %s", took, stopPatience)
	}
	wantCode(t, stuck.RecvMsg(&csi.CreateVolumeResponse{}), codes.Unavailable)
}

// beginLongCopy has the driver cut "snapshot-1" of a volume with many files,
// and returns in the midst of that: with the portrait of the volume, and where
// the end of the call will be told.
func beginLongCopy(t *testing.T, config Config) (want map[string]string, cutting <-chan error) {
	t.Helper()
	client := dial(t, config)
	volume := must[*csi.CreateVolumeResponse](t)(client.CreateVolume(t.Context(), volumeRequest("source"))).GetVolume()
	path := volume.GetVolumeContext()["path"]
	for i := range 2000 {
		writeFile(t, filepath.Join(path, fmt.Sprint("file-", i)), fmt.Sprint("content ", i))
	}
	ended := make(chan error, 1)
	want = portrait(t, path)
	go func() {
		_, err := client.CreateSnapshot(t.Context(), snapshotRequest("snapshot-1"))
		ended <- err
	}()
	waitFor(t, "the copy to be under way", func() bool {
		copied, _ := filepath.Glob(filepath.Join(config.Root, ".tmp", "snapshot-1-new-*", "data", "file-0"))
		return len(copied) > 0
	})
	return want, ended
}

func wantSnapshot(t *testing.T, config Config, want map[string]string) {
	t.Helper()
	if got := portrait(t, filepath.Join(config.Root, "snapshots", "snapshot-1", "data")); !maps.Equal(want, got) {
		t.Errorf("the snapshot has %d entries of %d, or other ones", len(got), len(want))
	}
}

func terminate(t *testing.T, driver *exec.Cmd) {
	t.Helper()
	if err := driver.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := driver.Wait(); err != nil {
		t.Errorf("the driver ended with %v", err)
	}
}

func TestLivingDriverKeepsItsSocket(t *testing.T) {
	config := configIn(t, t.TempDir())
	startServer(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := serve(ctx, config)
	if err == nil || !strings.Contains(err.Error(), "another process serves it") {
		t.Errorf("got %v, want that the socket is taken", err)
	}
}

func TestMistakesInTheFlagsAreNamed(t *testing.T) {
	dir := t.TempDir()
	good := map[string]string{"endpoint": "unix://" + dir + "/csi.sock", "root": dir + "/root", "node-id": "n"}
	cases := []struct{ flag, value, want string }{
		{"endpoint", "", "--endpoint is missing"},
		{"root", "", "--root is missing"},
		{"node-id", "", "--node-id is missing"},
		{"name", "under_score", "not a domain name"},
		{"endpoint", "tcp://127.0.0.1:1", "want unix://"},
		{"endpoint", "unix://" + dir + "/no/csi.sock", "must exist"},
		{"endpoint", "unix://" + dir + "/" + strings.Repeat("x", 100), "bytes long"},
		{"endpoint", "unix://" + dir, "something other than a socket"},
	}
	for _, c := range cases {
		flags := maps.Clone(good)
		flags[c.flag] = c.value
		var args []string
		for name, value := range flags {
			args = append(args, "--"+name, value)
		}
		err := run(t.Context(), args, t.Output(), t.Output())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--%s %q: got %v, want %q", c.flag, c.value, err, c.want)
		}
	}
}
