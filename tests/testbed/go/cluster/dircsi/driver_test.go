package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// asDriver in the environment makes the test binary be the driver, for tests
// that need a process to kill.
const asDriver = "DIRCSI_TEST_AS_DRIVER"

// patience bounds every wait of a test.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asDriver) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// configIn describes a driver whose socket, root and faults file are in dir.
func configIn(t *testing.T, dir string) Config {
	return Config{
		Endpoint:   "unix://" + filepath.Join(dir, "csi.sock"),
		Root:       filepath.Join(dir, "root"),
		Name:       "dir.csi.testbed",
		NodeID:     "node",
		FaultsFile: filepath.Join(dir, "faults.json"),
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// startServer serves a driver within this process until the test ends.
func startServer(t *testing.T, config Config) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, config)
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the driver ended with: %v", err)
		}
	})
	waitFor(t, "the driver to listen", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the driver did not start: %v", err)
		default:
		}
		return answers(config.Endpoint)
	})
}

// startProcess runs a driver as a process of its own; it is killed in the end
// if it still lives.
func startProcess(t *testing.T, config Config) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable, "--endpoint", config.Endpoint, "--root", config.Root,
		"--node-id", config.NodeID, "--faults", config.FaultsFile)
	cmd.Env = append(os.Environ(), asDriver+"=1")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	waitFor(t, "the driver's process to listen", func() bool { return answers(config.Endpoint) })
	return cmd
}

func answers(endpoint string) bool {
	conn, err := net.Dial("unix", strings.TrimPrefix(endpoint, "unix://"))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func dial(t *testing.T, config Config) csi.ControllerClient {
	t.Helper()
	return csi.NewControllerClient(connect(t, config))
}

func connect(t *testing.T, config Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(config.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// controllerOf opens a root without a server around it.
func controllerOf(t *testing.T, root string) *controller {
	t.Helper()
	store, err := OpenStore(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return &controller{store: store}
}

func volumeRequest(name string) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{Name: name, VolumeCapabilities: []*csi.VolumeCapability{{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}}}
}

func restoreRequest(name, snapshot string) *csi.CreateVolumeRequest {
	req := volumeRequest(name)
	req.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: snapshot},
	}}
	return req
}

// must unwraps the answer of a call that has to succeed: must(t)(call()).
func must[T any](t *testing.T) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("code %s, want %s (error: %v)", got, want, err)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// namesIn lists a directory.
func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// portrait describes each entry of a tree by all that a copy must keep.
func portrait(t *testing.T, tree string) map[string]string {
	t.Helper()
	entries := map[string]string{}
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var content string
		switch info.Mode().Type() {
		case 0:
			bytes, readErr := os.ReadFile(path)
			content, err = fmt.Sprintf("%x", sha256.Sum256(bytes)), readErr
		case fs.ModeSymlink:
			content, err = os.Readlink(path)
		}
		name, relErr := filepath.Rel(tree, path)
		entries[name] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), content)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
