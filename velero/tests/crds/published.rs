//! Files out of Velero's published Go module.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const MODULE: &str = "github.com/vmware-tanzu/velero@v1.18.3";

/// The folder of the module's source.
pub(crate) fn velero_module() -> PathBuf {
    let output = Command::new("go").args(["mod", "download", "-json", MODULE]).output().expect(
        "Velero's CRDs come out of its Go module: install Go from https://go.dev/dl and put `go` on PATH",
    );
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "`go mod download {MODULE}` failed:\n{answer}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_str(&answer).expect("`go mod download -json` prints JSON");
    answer["Dir"].as_str().expect("it names the folder").into()
}
