package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotFound says that no volume or snapshot has the id.
var ErrNotFound = errors.New("not found")

// lockPoll is the pause between two tries for another process's lock.
const lockPoll = 5 * time.Millisecond

// Volume is the content of volume.json.
type Volume struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"` // from the request; makes CreateVolume idempotent
	CapacityBytes int64             `json:"capacityBytes"`
	Parameters    map[string]string `json:"parameters,omitempty"`
	SourceVolume  string            `json:"sourceVolume,omitempty"`
	// SourceSnapshot is the snapshot that the volume was made from, if any.
	SourceSnapshot string    `json:"sourceSnapshot,omitempty"`
	CreatedAt      time.Time `json:"createdAt"`
}

// Snapshot is the content of snapshot.json.
type Snapshot struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"` // from the request; makes CreateSnapshot idempotent
	SourceVolume string    `json:"sourceVolume"`
	SizeBytes    int64     `json:"sizeBytes"` // capacity of the volume when the snapshot was cut
	CreatedAt    time.Time `json:"createdAt"`
	ReadyAt      time.Time `json:"readyAt"` // later than CreatedAt only by a fault
}

// ready says whether the snapshot may be used; only a fault delays that.
func (s *Snapshot) ready(now time.Time) bool { return !now.Before(s.ReadyAt) }

// Store is the state of the driver: files under one root, and nothing in
// memory, so that a restart loses nothing and several drivers see the same.
//
// Reading needs no lock, for volumes and snapshots come and go by one rename.
// Whatever adds, changes or removes runs within Exclusive.
type Store struct {
	root      string // absolute
	turn      chan struct{}
	volumes   shelf[Volume]
	snapshots shelf[Snapshot]
}

// OpenStore prepares root and clears what calls cut short by a kill have left
// there. It fails if another driver holds the lock until ctx ends.
func OpenStore(ctx context.Context, root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root, err)
	}
	scratch := filepath.Join(root, ".tmp")
	s := &Store{
		root:      root,
		turn:      make(chan struct{}, 1),
		volumes:   shelf[Volume]{dir: filepath.Join(root, "volumes"), record: "volume.json", scratch: scratch},
		snapshots: shelf[Snapshot]{dir: filepath.Join(root, "snapshots"), record: "snapshot.json", scratch: scratch},
	}
	for _, dir := range []string{s.volumes.dir, s.snapshots.dir, scratch} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("root: %w", err)
		}
	}
	// Under the lock nobody else is at work: all that is in scratch is left over.
	err = s.Exclusive(ctx, func() error { return removeChildren(scratch) })
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root, err)
	}
	return s, nil
}

// Exclusive runs work while no other call, of this or any other process,
// changes the root. It gives up when ctx ends first.
func (s *Store) Exclusive(ctx context.Context, work func() error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for another call: %w", ctx.Err())
	}
	lock, err := os.OpenFile(filepath.Join(s.root, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close() // lets go of the lock, as the death of the process does
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return work()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("locking %s: %w", lock.Name(), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the driver that holds %s: %w", lock.Name(), ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// Available is the free space of the filesystem under the root, in bytes.
func (s *Store) Available() (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(s.root, &stat); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.root, err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}

// fileID is what is both a CSI id (128 bytes at most) and a safe file name.
var fileID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// idFor derives the id of a volume or snapshot from its CSI name: the name
// itself where it can be, so that a person finds the directory.
func idFor(name string) string {
	if fileID.MatchString(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "sha256-" + hex.EncodeToString(sum[:])
}
