//! Whatever ends a test process, its processes and folders go with it.
#![cfg(target_os = "linux")]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::{NamedTempFile, TempDir};
use testbed::progress::Console;

use crate::objects::{bound, create_claim, create_namespace};
use crate::shared_cluster::testbed;

/// How many random moments are tried; more by `TESTBED_KILL_ROUNDS`.
const ROUNDS: u64 = 3;

/// Longer than a cluster takes to come up here.
const LIFE: u64 = 8_000;

/// Longer than it takes to come up, on a busy machine.
const UP: Duration = Duration::from_mins(5);
/// Longer than it takes to go down on a machine that is not stuck.
const LIMIT: Duration = Duration::from_mins(2);

/// The components, the supervisor and the process itself.
const FULL_CLUSTER: usize = 11;

/// A process in a group of its own, whose temporary files, and those of all its
/// descendants, are in one folder. The folder's name is in their environment
/// and tells them from all others.
struct Owner {
    process: Child,
    temporary: TempDir,
    output: NamedTempFile,
}

impl Owner {
    fn start(command: &Command) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        // A shell lets what it runs in the background ignore SIGINT, and children inherit that.
        let mut plain = Command::new("env");
        plain.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
        plain.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // A file, because a pipe that nobody reads would stop it.
        let output = NamedTempFile::new().unwrap();
        let process = plain
            .env("TMPDIR", temporary.path())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(output.as_file().try_clone().unwrap())
            .stderr(output.as_file().try_clone().unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { process, temporary, output }
    }

    /// Brings a cluster up for a person.
    fn up(more: &[&str]) -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_testbed")).args(["up", "--nodes=1"]).args(more))
    }

    /// Runs one of the ignored tests below in a test process.
    fn test(name: &str) -> Self {
        let name = format!("leftovers::{name}");
        let this = std::env::current_exe().unwrap();
        Self::start(Command::new(this).args([&name, "--exact", "--ignored", "--nocapture"]))
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.output.path()).unwrap()
    }

    /// Waits until it has printed `text`.
    fn prints(&mut self, text: &str) {
        let deadline = Instant::now() + UP;
        loop {
            // Asked before its output is read: one that has ended prints no more.
            let ended = self.process.try_wait().unwrap();
            if self.output().contains(text) {
                break;
            }
            assert!(ended.is_none(), "it ended without {text:?}: {}", self.output());
            assert!(Instant::now() < deadline, "it does not print {text:?}: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn processes(&self) -> Vec<String> {
        processes_with(self.temporary.path())
    }

    /// Sends a signal, as `kill` names it, to the process alone.
    fn signal(&self, signal: &str) {
        send(signal, &self.process.id().to_string());
    }

    /// Sends a signal to the whole foreground group, as a terminal does.
    fn signal_group(&self, signal: &str) {
        send(signal, &format!("-{}", self.process.id()));
    }

    /// Waits for its end, and until nothing is left of it. Gives its outputs.
    fn goes_without_a_trace(mut self, when: &str) -> (ExitStatus, String) {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.process.kill().unwrap();
                panic!("{when}: it does not end: {}", self.output());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let deadline = Instant::now() + LIMIT;
        loop {
            let folders = std::fs::read_dir(self.temporary.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect::<Vec<_>>();
            let processes = self.processes();
            if processes.is_empty() && folders.is_empty() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{when}: still there are {processes:#?} and the folders {folders:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        (status, self.output())
    }
}

fn send(signal: &str, target: &str) {
    let done = Command::new("kill").args(["-s", signal, "--", target]).status().unwrap();
    assert!(done.success(), "kill -s {signal} {target}");
}

/// The command lines of all processes that have a path in their environment.
fn processes_with(path: &Path) -> Vec<String> {
    let wanted = path.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().map_while(Result::ok).filter_map(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let is_one = environment.windows(wanted.len()).any(|window| window == wanted);
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        is_one.then(|| format!("{} {}", entry.file_name().display(), String::from_utf8_lossy(&command)))
    });
    processes.collect()
}

fn random_below(limit: u64) -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 % limit
}

#[tokio::test]
async fn kill_at_any_moment_leaves_nothing() {
    testbed().await;
    let rounds = std::env::var("TESTBED_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 1..=rounds {
        let owner = Owner::up(&[]);
        let life = Duration::from_millis(random_below(LIFE));
        // Not a wait for something: the moment is what varies.
        std::thread::sleep(life);
        let when = format!("round {round}, killed after {life:?} with {} processes", owner.processes().len());
        owner.signal("KILL");
        let (status, _) = owner.goes_without_a_trace(&when);
        assert_eq!(status.signal(), Some(9), "{when}");
        println!("{when}: nothing left");
    }
}

#[tokio::test]
async fn kill_of_a_test_process_leaves_nothing() {
    testbed().await;
    let mut owner = Owner::test("a_test_that_waits_for_ever");
    owner.prints("waiting");
    let processes = owner.processes();
    assert!(processes.len() >= FULL_CLUSTER, "{processes:#?}");
    owner.signal("KILL");
    owner.goes_without_a_trace("a test with a cluster");
}

#[tokio::test]
async fn kill_with_velero_leaves_nothing() {
    testbed().await.build_velero(&Console::default()).await.unwrap();
    let mut owner = Owner::up(&["--velero"]);
    owner.prints("Velero's backups are in");
    let processes = owner.processes();
    for name in ["/velero\0server", "/objectstore\0"] {
        assert!(processes.iter().any(|process| process.contains(name)), "{name}: {processes:#?}");
    }
    owner.signal("KILL");
    owner.goes_without_a_trace("a cluster with Velero");
}

#[tokio::test]
async fn an_interrupt_leaves_nothing() {
    testbed().await;
    // A test process dies of Ctrl-C at once.
    let mut owner = Owner::test("a_test_that_waits_for_ever");
    owner.prints("waiting");
    owner.signal_group("INT");
    let (status, _) = owner.goes_without_a_trace("an interrupted test");
    assert_eq!(status.signal(), Some(2));
    // The program takes its cluster down first.
    let mut owner = Owner::up(&[]);
    owner.prints("Ctrl-C takes it all down");
    owner.signal_group("INT");
    let (status, output) = owner.goes_without_a_trace("an interrupted `up`");
    assert!(status.success(), "{output}");
}

#[tokio::test]
async fn a_panic_leaves_nothing_but_the_ends_of_the_logs() {
    testbed().await;
    let mut owner = Owner::test("a_test_that_panics");
    owner.prints("on purpose");
    let (status, output) = owner.goes_without_a_trace("a panic");
    assert!(!status.success());
    for log in ["panics / kube-apiserver (running)", "panics / dircsi (SIGKILL)", "method=CreateVolume"] {
        assert!(output.contains(log), "{log} is missing in\n{output}");
    }
}

#[tokio::test]
async fn a_stop_takes_down_what_has_slipped_away() {
    let cluster = testbed().await.cluster("slippery").start().await.unwrap();
    let dir = cluster.dir().to_owned();
    // In a session of its own, and an orphan.
    let script = "setsid sh -c 'sleep 1000 &'; exec sleep 1000";
    cluster.spawn("parent", "sh", &["-c", script], &[]).await.unwrap();
    testbed::until("both to sleep", LIMIT, || async {
        let sleepers =
            processes_with(&dir).iter().filter(|process| process.contains("sleep\x001000")).count();
        Ok((sleepers == 2).then_some(()))
    })
    .await
    .unwrap();
    cluster.stop().await.unwrap();
    assert_eq!(processes_with(&dir), [""; 0]);
    assert!(!dir.exists());
}

#[tokio::test]
async fn kill_while_building_leaves_no_process() {
    let cache = tempfile::tempdir().unwrap();
    let mut build = Command::new(env!("CARGO_BIN_EXE_testbed"));
    build.arg("build").env("XDG_CACHE_HOME", cache.path());
    // The finished binaries are not there, but what was compiled for them is.
    let compiled = Command::new("go").args(["env", "GOCACHE"]).output().unwrap();
    let mut owner = Owner::start(build.env("GOCACHE", String::from_utf8(compiled.stdout).unwrap().trim()));
    owner.prints("build cluster");
    let deadline = Instant::now() + LIMIT;
    while !owner.processes().iter().any(|process| process.contains("go\0build")) {
        assert!(Instant::now() < deadline, "the build does not begin: {}", owner.output());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Not a wait for something: the moment is what varies.
    std::thread::sleep(Duration::from_millis(random_below(3_000)));
    owner.signal("KILL");
    owner.goes_without_a_trace("a build");
}

#[tokio::test]
#[ignore = "run in a process of its own by the tests above"]
async fn a_test_that_waits_for_ever() {
    let _cluster = testbed().await.cluster("waits").nodes(1).start().await.unwrap();
    println!("waiting");
    std::future::pending::<()>().await;
}

#[tokio::test]
#[ignore = "run in a process of its own by the tests above"]
async fn a_test_that_panics() {
    let cluster = testbed().await.cluster("panics").start().await.unwrap();
    create_namespace(&cluster, "work").await;
    create_claim(&cluster, "work", "work", json!({})).await;
    bound(&cluster, "work", "work").await;
    cluster.kill("dircsi").await.unwrap();
    panic!("on purpose");
}
