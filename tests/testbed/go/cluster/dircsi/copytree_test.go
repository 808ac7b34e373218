package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCopyIsFaithful(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	growTree(t, source)
	target := filepath.Join(t.TempDir(), "target")
	t.Cleanup(func() { _ = removeTree(source) }) // read-only directories stop TempDir's own cleanup
	t.Cleanup(func() { _ = removeTree(target) })

	if err := copyTree(t.Context(), source, target); err != nil {
		t.Fatal(err)
	}
	want, got := portrait(t, source), portrait(t, target)
	if !maps.Equal(want, got) {
		t.Errorf("the copy differs:\nwant %q\ngot  %q", want, got)
	}
	if len(want) < 13 {
		t.Errorf("the source has only %d entries: %q", len(want), want)
	}
}

func TestCopyIsIndependent(t *testing.T) {
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	writeFile(t, filepath.Join(source, "file"), "before")
	if err := copyTree(t.Context(), source, target); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(source, "file"), os.O_WRONLY, 0) // the same inode, in place
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("AFTER!"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(content) != "before" {
		t.Errorf("the copy holds %q (%v), want what was there when it was made", content, err)
	}
}

func TestCopyStopsWithItsCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := copyTree(ctx, t.TempDir(), filepath.Join(t.TempDir(), "target"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the call was cancelled", err)
	}
}

func TestReadOnlyTreeIsRemoved(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	growTree(t, tree)
	if err := removeTree(tree); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(tree); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree is still there (%v)", err)
	}
}

// growTree makes a tree with one of each thing that a workspace may hold.
func growTree(t *testing.T, tree string) {
	t.Helper()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(tree, name) }
	for _, dir := range []string{"", "empty", "deep", "deep/er", "read-only", "Grüße 日本 🎉", ".hidden"} {
		try(os.Mkdir(at(dir), 0o755))
	}
	writeFile(t, at("none"), "")
	writeFile(t, at("deep/er/file"), "text\n")
	writeFile(t, at("Grüße 日本 🎉/naïve\nname"), "ünïcode")
	writeFile(t, at("binary"), string([]byte{0, 1, 2, 0xff, 0}))
	writeFile(t, at("script"), "#!/bin/sh\n")
	writeFile(t, at("read-only/file"), "kept")
	try(os.Chmod(at("script"), 0o755))
	try(os.Chmod(at("binary"), 0o600|os.ModeSetuid))
	try(os.Symlink("deep/er/file", at("relative")))
	try(os.Symlink("/nowhere/at all", at("dangling")))
	try(os.Symlink("..", at("deep/up"))) // a loop for who follows it
	try(unix.Mkfifo(at("pipe"), 0o640))

	long := time.Date(2001, 2, 3, 4, 5, 6, 789012345, time.UTC)
	for _, name := range []string{"deep/er/file", "deep/er", "empty"} {
		try(os.Chtimes(at(name), long, long))
	}
	stamp := unix.NsecToTimespec(long.UnixNano())
	try(unix.UtimesNanoAt(unix.AT_FDCWD, at("dangling"), []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW))
	try(os.Chmod(at("read-only"), 0o555))
}
