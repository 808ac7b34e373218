package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
)

// skipsWanted are the reasons that the suite may give for a skipped spec, each
// with why that is right here. Any other reason fails the suite, so that a
// capability cannot be lost in silence.
var skipsWanted = map[string]string{
	"GroupControllerService not supported":                      "no group snapshots: nothing in the testbed takes them",
	"Modify volume not supported":                               "a directory has no attributes that a VolumeAttributesClass could change",
	"Modify Volume not supported":                               "a directory has no attributes that a VolumeAttributesClass could change",
	"ControllerModifyVolume not supported":                      "a directory has no attributes that a VolumeAttributesClass could change",
	"ControllerPublishVolume not supported":                     "no attach on purpose",
	"Controller Publish, UnpublishVolume not supported":         "no attach on purpose",
	"ControllerUnpublishVolume not supported":                   "no attach on purpose",
	"SNAPSHOT_ACCESSIBILITY_CONSTRAINTS not supported":          "no topology on purpose",
	"Service does not have single node multi writer capability": "publishing is a symlink: writers are not told apart",
	"ControllerGetVolumeHealth not supported":                   "an alpha feature that nothing in the testbed asks for",
	"ControllerListVolumeHealth not supported":                  "an alpha feature that nothing in the testbed asks for",
	"NodeGetVolumeHealth not supported":                         "an alpha feature that nothing in the testbed asks for",
	"NodeGetStorageHealth not supported":                        "an alpha feature that nothing in the testbed asks for",
}

// TestSanity holds the driver, as it is served, to the CSI sanity suite.
func TestSanity(t *testing.T) {
	work := t.TempDir()
	driver := configIn(t, work)
	driver.Log = slog.New(slog.NewTextHandler(ginkgo.GinkgoWriter, nil)) // printed for failed specs
	startServer(t, driver)

	config := sanity.NewTestConfig()
	config.Address = driver.Endpoint
	config.TargetPath = filepath.Join(work, "publish")
	config.StagingPath = filepath.Join(work, "stage")
	suite := sanity.GinkgoTest(&config)
	defer suite.Finalize()

	ginkgo.ReportAfterSuite("skips are known", func(report ginkgo.Report) { checkSkips(report) })
	gomega.RegisterFailHandler(ginkgo.Fail)
	suiteConfig, reporterConfig := ginkgo.GinkgoConfiguration()
	reporterConfig.NoColor = true // the closing line is read by a program, too
	ginkgo.RunSpecs(t, "CSI sanity", suiteConfig, reporterConfig)

	for _, shelf := range []string{"volumes", "snapshots", ".tmp"} {
		if left := namesIn(t, filepath.Join(driver.Root, shelf)); len(left) > 0 {
			t.Errorf("the suite deleted all it made, but %s still holds %q", shelf, left)
		}
	}
}

// checkSkips prints why each skipped spec was skipped, and fails on a reason
// that is not known.
func checkSkips(report ginkgo.Report) {
	var unknown []string
	fmt.Println() // ends the line of dots
	for _, spec := range report.SpecReports.WithState(types.SpecStateSkipped) {
		reason := spec.Failure.Message
		why, ok := skipsWanted[reason]
		if !ok {
			unknown = append(unknown, fmt.Sprintf("%s: %s", spec.FullText(), reason))
		}
		fmt.Printf("skipped: %s: %s (%s)\n", spec.FullText(), reason, why)
	}
	gomega.Expect(unknown).To(gomega.BeEmpty(), "specs were skipped for a reason that nobody has judged")
}
