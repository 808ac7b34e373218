package main

import (
	_ "github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
)
