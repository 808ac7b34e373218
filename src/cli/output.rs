//! Tables for people, JSON and YAML for scripts.

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// For scripts
    Json,
    /// For scripts and eyes
    Yaml,
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// How to print
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
}

impl Output {
    /// Prints the value for scripts, or calls `table` to print it for people.
    pub(super) fn print<T: Serialize>(&self, value: &T, table: impl FnOnce(&T)) -> anyhow::Result<()> {
        match self.output {
            Format::Table => table(value),
            Format::Json => println!("{}", serde_json::to_string_pretty(value)?),
            Format::Yaml => print!("{}", serde_saphyr::to_string(value)?),
        }
        Ok(())
    }
}

/// A table in kubectl's manner: no lines, columns in capitals.
pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns);
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table
}

/// An age as kubectl writes it: `42s`, `17m`, `5h`, `3d`.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    span(now.duration_since(then))
}

/// A length of time in its largest unit that gives at least two of it.
pub(super) fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in
            [(-5, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (200_000, "2d")]
        {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }
}
