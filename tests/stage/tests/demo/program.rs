//! The demo as a program, and what it says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testbed::{Cluster, Exit, Process, until};

/// Long enough for a whole story on a busy machine.
const PATIENCE: Duration = Duration::from_mins(20);

/// A demo that runs or has run.
pub(crate) struct Demo {
    process: Process,
    /// Its temporary files.
    folder: PathBuf,
}

impl Demo {
    /// Starts it, with a place for its temporary files in the folder of a cluster.
    pub(crate) async fn start(cluster: &Cluster, name: &str, args: &[&str]) -> Self {
        let args = [&["demo"], args].concat();
        let folder = cluster.dir().join(format!("{name}-files"));
        std::fs::create_dir(&folder).unwrap();
        let env = [("NO_COLOR", "1"), ("TMPDIR", folder.to_str().unwrap())];
        let process = cluster.spawn(name, env!("CARGO_BIN_EXE_stage"), &args, &env).await.unwrap();
        Self { process, folder }
    }

    /// All that it has said so far.
    pub(crate) fn said(&self) -> String {
        self.process.log().unwrap()
    }

    /// Waits until it says something.
    pub(crate) async fn says(&self, what: &str) {
        let waited_for = format!("the demo to say {what:?}");
        let said = until(&waited_for, PATIENCE, || async {
            if let Some(exit) = self.process.exit() {
                anyhow::ensure!(self.said().contains(what), "it ended with {exit} before it said {what:?}");
            }
            Ok(self.said().contains(what).then_some(()))
        });
        said.await.unwrap_or_else(|error| panic!("{error:#}:\n{}", self.said()));
    }

    /// Waits for its end, and sees that it has left no file and no process; gives what it has said.
    pub(crate) async fn ends(&self, exit: Exit) -> String {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("it goes on and on:\n{}", self.said())).unwrap();
        assert_eq!(ended, exit, "{}", self.said());
        assert_eq!(std::fs::read_dir(&self.folder).unwrap().count(), 0, "{} is empty", self.folder.display());
        let waited_for = format!("all processes of {} to be gone", self.folder.display());
        until(&waited_for, PATIENCE, || async { Ok((processes_of(&self.folder) == [""; 0]).then_some(())) })
            .await
            .unwrap_or_else(|error| panic!("{error:#}: {:#?}", processes_of(&self.folder)));
        self.said()
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

/// The command lines of processes that have something to do with a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    // One that ends meanwhile, or is somebody else's, cannot be read.
    let of = |process: PathBuf, what| std::fs::read(process.join(what)).unwrap_or_default();
    let lines = processes.filter_map(|process| {
        let [line, environment] = ["cmdline", "environ"].map(|what| of(process.path(), what));
        let [line, environment] = [line, environment].map(|text| String::from_utf8_lossy(&text).into_owned());
        (line.contains(folder) || environment.contains(folder)).then_some(line)
    });
    lines.collect()
}

/// The right cell of a row of the table at the end.
pub(crate) fn cell<'a>(said: &'a str, row: &str) -> &'a str {
    let found = said.lines().find_map(|line| line.strip_prefix('│')?.trim_start().strip_prefix(row));
    let rest = found.unwrap_or_else(|| panic!("no row {row:?} in\n{said}"));
    rest.trim().trim_start_matches('┆').trim_end_matches('│').trim()
}

/// The restored sandbox runs on its own volume, which the story has compared. Between a Sandbox and its status AgentTier may
/// be quicker, on a busy machine: then it was given a volume of the pool, and has been put back.
pub(crate) fn gives_none_away(said: &str) {
    let given = cell(said, "warm-pool volumes that it was given");
    assert!(["0", "1"].contains(&given), "it was robbed again after it was put back: {said}");
}

/// What follows a text, up to the end of the line.
pub(crate) fn after<'a>(said: &'a str, text: &str) -> &'a str {
    let at = said.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{said}"));
    said[at + text.len()..].lines().next().unwrap_or_default()
}
