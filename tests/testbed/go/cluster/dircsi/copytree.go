package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyTree makes target, which must not exist, a copy of the tree at source
// that shares nothing with it: contents, directories with or without entries,
// symlinks as they are, modes, modification times and, for root, owners. Hard
// links become separate files; extended attributes are not copied.
//
// What vanishes while the copy runs is left out, as if it had gone before. A
// file that is written to meanwhile is copied as it is read: a test that needs
// one moment for the whole tree stops its writers first.
func copyTree(ctx context.Context, source, target string) error {
	info, err := os.Lstat(source)
	if err != nil {
		return err
	}
	return copyEntry(ctx, source, target, info)
}

func copyEntry(ctx context.Context, source, target string, info fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	switch info.Mode().Type() {
	case 0:
		err = copyFile(source, target)
	case fs.ModeDir:
		err = copyEntries(ctx, source, target)
	case fs.ModeSymlink:
		err = copySymlink(source, target)
	default: // pipes, sockets, devices
		stat := info.Sys().(*syscall.Stat_t)
		err = unix.Mknod(target, stat.Mode, int(stat.Rdev))
	}
	if err != nil {
		return err
	}
	return copyAttributes(target, info)
}

// copyEntries fills a directory before copyAttributes makes it read-only, if it was.
func copyEntries(ctx context.Context, source, target string) error {
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	if err := os.Mkdir(target, 0o700); err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(source, entry.Name()), filepath.Join(target, entry.Name())
		info, err := entry.Info()
		if err == nil {
			err = copyEntry(ctx, from, to, info)
		}
		if err != nil && !vanished(err, from) {
			return err
		}
	}
	return nil
}

func copyFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func copySymlink(source, target string) error {
	destination, err := os.Readlink(source)
	if err != nil {
		return err
	}
	return os.Symlink(destination, target)
}

// copyAttributes sets owner, mode and time in this order: a change of owner
// clears setuid, and any change would touch the time of a directory.
func copyAttributes(target string, info fs.FileInfo) error {
	if os.Geteuid() == 0 {
		stat := info.Sys().(*syscall.Stat_t)
		if err := os.Lchown(target, int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	if info.Mode().Type() != fs.ModeSymlink { // a symlink has no mode of its own
		if err := os.Chmod(target, info.Mode()); err != nil {
			return err
		}
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(info.ModTime().UnixNano())}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, target, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimes", Path: target, Err: err}
	}
	return nil
}

// vanished says whether err is only that path was removed meanwhile.
func vanished(err error, path string) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
