//! What was measured, for people.

use std::fmt;

use super::stopwatch::Measured;

/// The product and, right after it, plain writers.
pub(super) struct Pair {
    pub(super) number: u16,
    pub(super) product: Measured,
    pub(super) plain: Measured,
    /// Resident memory of the controller in MiB: at the end, and at its highest.
    pub(super) memory: (u64, u64),
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.product.rate() / self.plain.rate()
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (now, peak) = self.memory;
        let (product, plain) = (self.product.rate(), self.plain.rate());
        write!(f, "pair {}: controller {product:.0}/s, plain writers {plain:.0}/s: ", self.number)?;
        write!(f, "{:.0} %; RSS {now} MiB, at most {peak} MiB", 100.0 * self.ratio())
    }
}

/// All pairs.
#[derive(Default)]
pub(super) struct Table {
    pairs: Vec<Pair>,
}

impl Table {
    pub(super) fn add(&mut self, pair: Pair) {
        self.pairs.push(pair);
    }

    /// The pairs, and the median of each column.
    pub(super) fn render(&self, volumes: u16, at_once: u16) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header([
            "PAIR",
            "CONTROLLER/S",
            "PLAIN WRITERS/S",
            "RATIO",
            "START TO FIRST",
            "RSS MIB",
            "PEAK MIB",
        ]);
        for pair in &self.pairs {
            table.add_row([
                pair.number.to_string(),
                format!("{:.0}", pair.product.rate()),
                format!("{:.0}", pair.plain.rate()),
                format!("{:.0} %", 100.0 * pair.ratio()),
                format!("{:.2} s", pair.product.lead.as_secs_f64()),
                pair.memory.0.to_string(),
                pair.memory.1.to_string(),
            ]);
        }
        let of = |value: fn(&Pair) -> f64| median(self.pairs.iter().map(value).collect());
        table.add_row([
            "median".to_owned(),
            format!("{:.0}", of(|pair| pair.product.rate())),
            format!("{:.0}", of(|pair| pair.plain.rate())),
            format!("{:.0} %", 100.0 * of(Pair::ratio)),
            format!("{:.2} s", of(|pair| pair.product.lead.as_secs_f64())),
            format!("{:.0}", of(|pair| mebibytes(pair.memory.0))),
            format!("{:.0}", of(|pair| mebibytes(pair.memory.1))),
        ]);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        format!(
            "{volumes} due volumes, {at_once} calls at once, {cores} cores for all of it; snapshots a second from \
             the first to the last\n{table}"
        )
    }
}

fn mebibytes(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
