//! What happens while a person waits.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A spinner on a terminal, lines elsewhere, nothing beside JSON and YAML.
pub(super) struct Screen {
    bar: Option<ProgressBar>,
}

impl Screen {
    pub(super) fn start(wanted: bool) -> Self {
        let bar = wanted.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    /// Says something that stays.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) if bar.is_hidden() => eprintln!("{line}"),
            Some(bar) => bar.println(line),
            None => {}
        }
    }

    /// Says what goes on, also beside the spinner.
    pub(super) fn step(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
        self.say(&format!("  {text}"));
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
