//! How the story is told: a spinner on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use testbed::progress::Console;

/// Where the story is told.
pub(super) struct Screen {
    begun: Instant,
    chapters: u32,
    /// The spinner of a chapter, and what is built meanwhile.
    bars: MultiProgress,
}

/// A chapter that is being told.
pub(super) struct Chapter {
    bars: MultiProgress,
    bar: ProgressBar,
    begun: Instant,
}

impl Screen {
    pub(super) fn new(setting: &str) -> Self {
        println!();
        println!("{}", style("agenttier-backup: a node dies, the work comes back").bold());
        println!("{}", style(setting).dim());
        Self { begun: Instant::now(), chapters: 0, bars: MultiProgress::new() }
    }

    /// Where builds tell how far they are, beside the story.
    pub(super) fn builds(&self) -> Console {
        Console::among(self.bars.clone())
    }

    /// Something between chapters.
    pub(super) fn print(&self, text: impl AsRef<str>) {
        self.bars.suspend(|| println!("\n{}", text.as_ref()));
    }

    /// Begins a chapter.
    pub(super) fn chapter(&mut self, title: &str) -> Chapter {
        self.chapters += 1;
        let number = style(format!("{}.", self.chapters)).cyan().bold();
        self.print(format!("{number} {}", style(title).bold()));
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("   {spinner:.cyan} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Chapter { bars: self.bars.clone(), bar, begun: Instant::now() }
    }

    /// How long the story has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for Chapter {
    /// Also when it breaks off: nothing spins in vain.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Chapter {
    /// What is being waited for; seen on a terminal only.
    pub(super) fn waiting(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// Something that happened.
    pub(super) fn say(&self, line: impl AsRef<str>) {
        let line = format!("   {}", line.as_ref());
        self.bars.suspend(|| println!("{line}"));
    }

    /// Ends the chapter with what came of it.
    pub(super) fn done(self, what: impl AsRef<str>) {
        self.bar.finish_and_clear();
        let took = format!("({:.1} s)", self.begun.elapsed().as_secs_f64());
        let line = format!("   {} {} {}", style("✔").green().bold(), what.as_ref(), style(took).dim());
        self.bars.suspend(|| println!("{line}"));
    }
}
