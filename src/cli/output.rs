//! Tables for people, JSON and YAML for scripts.

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

pub(super) use crate::age::age;

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
