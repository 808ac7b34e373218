//! Volumes, or namespaces, counted by what is the matter with them, in a sentence.

use std::collections::BTreeMap;
use std::fmt;

use agenttier_backup_plan::{Reason, VolumeId};

/// So many are named for each reason.
const NAMES: usize = 3;
/// What the API server says is cut after so many characters.
const LONGEST: usize = 200;

/// Volumes or namespaces by reason.
#[derive(Debug, Clone)]
pub(super) struct Tally<R = Reason>(BTreeMap<R, Entry>);

#[derive(Debug, Clone, Default)]
struct Entry {
    count: usize,
    names: Vec<String>,
    words: Option<String>,
}

impl<R> Default for Tally<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Ord + Copy> Tally<R> {
    /// Counts one by its name. `words`, at length, are told once a reason: the first that there are.
    pub(super) fn count(&mut self, reason: R, name: impl FnOnce() -> String, words: Option<&str>) {
        let entry = self.0.entry(reason).or_default();
        entry.count += 1;
        if entry.names.len() < NAMES {
            entry.names.push(name());
        }
        if entry.words.is_none() {
            entry.words = words.map(|words| words.chars().take(LONGEST).collect());
        }
    }

    /// The first reason, by its place among them.
    pub(super) fn first(&self) -> Option<R> {
        self.0.keys().next().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Tally {
    /// Counts a volume.
    pub(super) fn add(&mut self, reason: Reason, volume: &VolumeId, words: Option<&str>) {
        self.count(reason, || format!("{}/{}", volume.namespace, volume.claim), words);
    }

    /// Whether somebody has to do something about one of them.
    pub(super) fn needs_attention(&self) -> bool {
        self.0.keys().any(|reason| reason.needs_attention())
    }
}

impl<R: fmt::Display> fmt::Display for Tally<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (reason, entry)) in self.0.iter().enumerate() {
            let more = match entry.count - entry.names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let separator = if n > 0 { "; " } else { "" };
            write!(f, "{separator}{} {reason} ({}{more})", entry.count, entry.names.join(", "))?;
            if let Some(words) = &entry.words {
                write!(f, ": {words}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::VolumeUid;

    use super::*;

    #[test]
    fn a_thousand_volumes_fit_in_a_sentence() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            let volume = VolumeId {
                namespace: "n".into(),
                claim: format!("c{n}"),
                uid: VolumeUid::new(n.to_string()),
            };
            tally.add(Reason::QuotaExceeded, &volume, Some(&"exceeded ".repeat(100)));
            if n == 7 {
                tally.add(Reason::NotCsi, &volume, None);
            }
        }
        let text = tally.to_string();
        let start = "1 NotCsi (n/c7); 1000 QuotaExceeded (n/c0, n/c1, n/c2 and 997 more): exceeded exceeded ";
        assert!(text.starts_with(start) && text.len() < 300, "{text}");
    }
}
