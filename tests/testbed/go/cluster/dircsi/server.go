package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
)

const (
	// lockPatience bounds the wait for another driver's work at start.
	lockPatience = 30 * time.Second
	// stopPatience is how long calls under way may take once a stop was asked for.
	stopPatience = 3 * time.Second
)

// Config is what the flags say.
type Config struct {
	Endpoint   string // unix:///path/csi.sock
	Root       string // holds all state
	Name       string // of the driver
	NodeID     string
	FaultsFile string // may be empty: no faults
	Log        *slog.Logger
}

// serve runs the driver until ctx ends; then calls under way may finish.
func serve(ctx context.Context, config Config) error {
	// Calls that come before the store is open wait in the socket's queue.
	listener, err := listen(config.Endpoint)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	store, err := OpenStore(opening, config.Root)
	if ctx.Err() != nil { // stopped before it began
		return listener.Close()
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	calls := &calls{faults: &faults{file: config.FaultsFile}, log: config.Log}
	// A call that outlives the server could still write: wait for each one.
	server := grpc.NewServer(grpc.UnaryInterceptor(calls.intercept), grpc.WaitForHandlers(true))
	csi.RegisterIdentityServer(server, &identity{name: config.Name})
	csi.RegisterControllerServer(server, &controller{store: store})
	csi.RegisterNodeServer(server, &node{id: config.NodeID, store: store})

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	config.Log.Info("serving", "driver", config.Name, "endpoint", config.Endpoint, "root", store.root)

	select {
	case err := <-served:
		return fmt.Errorf("serving %s: %w", config.Endpoint, err)
	case <-ctx.Done():
	}
	config.Log.Info("stopping")
	force := time.AfterFunc(stopPatience, server.Stop)
	defer force.Stop()
	server.GracefulStop()
	if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // that: stopped before Serve began
		return err
	}
	return nil
}
