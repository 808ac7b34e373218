//! A process whose clock is wrong.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;

const SOURCE: &str = include_str!("../c/wrong_clock.c");

/// A clock that tells a wrong time to the programs that are started with it; only on Linux, and only to programs that
/// ask the C library.
#[derive(Debug)]
pub struct WrongClock {
    library: PathBuf,
    seconds: PathBuf,
}

impl Cluster {
    /// Makes such a clock, which is right at first.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub fn wrong_clock(&self) -> Result<WrongClock> {
        let file = |name: &str| self.dir().join(format!("wrong-clock{name}"));
        let (source, library, seconds) = (file(".c"), file(".so"), file("-seconds"));
        std::fs::write(&source, SOURCE).with_context(|| format!("write {}", source.display()))?;
        let mut compiler = Command::new("cc");
        let compiler = compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let built = compiler.arg(&library).arg(&source).output().context("run cc, the C compiler")?;
        let said = String::from_utf8_lossy(&built.stderr);
        ensure!(built.status.success(), "cc cannot build {}:\n{said}", source.display());
        std::fs::write(&seconds, 0_i64.to_ne_bytes()).context("write the clock's file")?;
        Ok(WrongClock { library, seconds })
    }
}

impl WrongClock {
    /// The environment of a program that is to go by this clock.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("WRONG_CLOCK", self.seconds.display().to_string()),
        ]
    }

    /// Sets the clock so many seconds ahead of the right time; programs that run notice it at once.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set_ahead(&self, seconds: i64) -> Result<()> {
        // In place: the programs have the file mapped.
        let mut file = std::fs::OpenOptions::new().write(true).open(&self.seconds)?;
        std::io::Write::write_all(&mut file, &seconds.to_ne_bytes()).context("set the clock")
    }
}
