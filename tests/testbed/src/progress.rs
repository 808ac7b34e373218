//! How long work tells where it is.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Hears about long work. Nothing is told about work that was done before.
pub trait Progress: Send + Sync {
    /// `task` has done `done` of `total` units (0: not known) and is at `now`.
    fn update(&self, task: &str, done: u64, total: u64, now: &str);
    /// `task` is finished.
    fn finished(&self, task: &str);
}

/// Says nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn finished(&self, _: &str) {}
}

/// Bars on a terminal, a plain line now and then otherwise; on standard error,
/// past the capture of a test harness, since a first build takes minutes.
#[derive(Debug, Default)]
pub struct Console {
    bars: MultiProgress,
    tasks: Mutex<HashMap<String, Task>>,
}

#[derive(Debug)]
struct Task {
    bar: ProgressBar,
    since: Instant,
    last_line: Instant,
}

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(15);

impl Console {
    /// Among the bars of somebody's who draws some of its own.
    #[must_use]
    pub fn among(bars: MultiProgress) -> Self {
        Self { bars, tasks: Mutex::default() }
    }
}

impl Progress for Console {
    fn update(&self, task: &str, done: u64, total: u64, now: &str) {
        let plain = !std::io::stderr().is_terminal();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = tasks.entry(task.to_owned()).or_insert_with(|| {
            if plain {
                line(&format!("{task} …"));
            }
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_prefix(task.to_owned());
            Task { bar, since: Instant::now(), last_line: Instant::now() }
        });
        if plain {
            if entry.last_line.elapsed() >= LINE_EVERY {
                entry.last_line = Instant::now();
                let of = if total == 0 { String::new() } else { format!(" {done}/{total}") };
                line(&format!("{task}{of}, {} s: {now}", entry.since.elapsed().as_secs()));
            }
            return;
        }
        let template = if total == 0 {
            "{spinner} {prefix} {elapsed_precise} {wide_msg}"
        } else {
            "{spinner} {prefix} {bar:30} {pos}/{len} {elapsed_precise} {wide_msg}"
        };
        entry.bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
        entry.bar.set_length(total);
        entry.bar.set_position(done);
        entry.bar.set_message(now.to_owned());
    }

    fn finished(&self, task: &str) {
        let ended = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
        if let Some(ended) = ended {
            ended.bar.finish_and_clear();
            self.bars.suspend(|| line(&format!("{task}: done in {} s", ended.since.elapsed().as_secs())));
        }
    }
}

fn line(text: &str) {
    // A closed standard error is no reason to stop a build.
    let _ = writeln!(std::io::stderr(), "testbed: {text}");
}
