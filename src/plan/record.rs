//! Records of Sandboxes: what goes into one, what they are called, how much fits, and when one may go.
//!
//! A record is named after its contents. Whoever knows the contents knows the name; making the same record again
//! is told that it exists, and another content is another record.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::hash::stable_hash;
use crate::name::LONGEST_NAME;
use crate::name::shortened;
use crate::{VolumeId, marks};

/// The most that a record's spec holds, in bytes of JSON.
pub const LARGEST_RECORD: usize = 64 * 1024;
/// A record that nothing refers to goes when it is older than this: what it was made for may be under way.
pub const COLLECTED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// AgentTier follows no longer line of parents. Source: its template resolver.
pub const LONGEST_LINEAGE: usize = 10;

/// Annotations of which AgentTier reads one alone, `agenttier.io/action`: an order of one moment, which it takes off
/// again. Nothing of a Sandbox depends on another one. Source: AgentTier 0.8's controller and router.
const AGENTTIERS: &str = "agenttier.io/";
/// kubectl's notes to itself: the copy of what was applied last, and the like.
const KUBECTLS: &str = "kubectl.kubernetes.io/";
/// Our own: what somebody asks of us, and where a restored Sandbox is from.
const OURS: &str = "backup.agenttier.io/";

/// Whether an annotation of a Sandbox speaks of one moment, and is no part of a record: an order to AgentTier, a
/// controller's note of what it did last or that it is alive, or a moment itself. A Sandbox that comes back later is
/// not served by it (a deadline of then would end it at once), and there would be a record of each change.
#[must_use]
pub fn is_of_one_moment(key: &str, value: &str) -> bool {
    if key.starts_with(OURS) {
        return false;
    }
    let name = key.rsplit('/').next().unwrap_or(key);
    let told_last = name.strip_prefix("last").is_some_and(|rest| {
        rest.starts_with(['-', '_', '.']) || rest.starts_with(|next: char| next.is_ascii_uppercase())
    });
    key.starts_with(AGENTTIERS)
        || key.starts_with(KUBECTLS)
        || told_last
        || name.to_ascii_lowercase().contains("heartbeat")
        || value.trim().parse::<Timestamp>().is_ok()
}

/// What JSON adds around the parts of a record, and around each template, at the most.
const FRAME: usize = 64;

/// A JSON value in short: equal values have equal digests, whatever the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    hash: u64,
    size: usize,
}

impl Digest {
    /// The digest of a value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut text = String::new();
        write_canonically(&mut text, value);
        Self { hash: stable_hash(&text), size: text.len() }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.hash)
    }
}

fn write_canonically(text: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            // Sorted here: whether the map is depends on how serde_json was built.
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (n, (key, value)) in fields.into_iter().enumerate() {
                text.push_str(if n > 0 { "," } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonically(text, value);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                text.push_str(if n > 0 { "," } else { "" });
                write_canonically(text, item);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// A template that a Sandbox follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSight {
    /// `SandboxTemplate` or `ClusterSandboxTemplate`.
    pub kind: String,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The digest of its spec; `None` where it is not there or may not be read.
    pub digest: Option<Digest>,
}

/// What a record of a Sandbox holds, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Name of the Sandbox.
    pub sandbox: String,
    /// The digest of the Sandbox, its name and UID included.
    pub digest: Digest,
    /// The template that it names, that one's parent, and so on.
    pub templates: Vec<TemplateSight>,
}

/// What of a template a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// Its spec.
    Spec,
    /// Its digest alone: its spec would not fit.
    Digest,
    /// Its name alone: it is not there, or may not be read.
    Name,
}

impl Contents {
    /// `<sandbox>-<hash>`, at most 63 characters; a Sandbox's name that does not fit is cut and given a hash of its
    /// own.
    #[must_use]
    pub fn name(&self) -> String {
        let mut text = self.digest.to_string();
        for template in &self.templates {
            let TemplateSight { kind, namespace, name, digest } = template;
            // No name in Kubernetes holds a slash.
            let namespace = namespace.as_deref().unwrap_or_default();
            let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
            text.extend(["/", kind, "/", namespace, "/", name, "/", &digest]);
        }
        let tail = format!("-{:016x}", stable_hash(&text));
        format!("{}{tail}", shortened(&self.sandbox, LONGEST_NAME - tail.len()))
    }

    /// What of each template the record holds: as many specs as there is room for, the nearest ones first.
    ///
    /// # Errors
    /// The bytes of JSON that the record would have without any of them, where that is too many.
    pub fn portions(&self) -> Result<Vec<Portion>, usize> {
        let mut size = self.digest.size + FRAME;
        size += self.templates.iter().map(TemplateSight::frame).sum::<usize>();
        if size > LARGEST_RECORD {
            return Err(size);
        }
        let portion = |template: &TemplateSight| {
            let Some(digest) = template.digest else { return Portion::Name };
            if size + digest.size > LARGEST_RECORD {
                return Portion::Digest;
            }
            size += digest.size;
            Portion::Spec
        };
        Ok(self.templates.iter().map(portion).collect())
    }
}

impl TemplateSight {
    fn frame(&self) -> usize {
        let namespace = self.namespace.as_ref().map_or(0, String::len);
        2 * FRAME + self.kind.len() + namespace + self.name.len()
    }
}

/// A living Sandbox whose volume takes part in snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The volume.
    pub volume: VolumeId,
    /// UID of the Sandbox.
    pub uid: String,
    /// What a record of it holds now.
    pub contents: Contents,
}

impl Subject {
    /// The record that says what it is now.
    #[must_use]
    pub fn record(&self) -> RecordKey {
        (self.volume.namespace.clone(), self.contents.name())
    }
}

/// A record that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSight {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as last seen.
    pub version: String,
    /// When it was created, by the API server's clock.
    pub created: Timestamp,
    /// Made by us, and not by a restore of Velero's.
    pub ours: bool,
    /// It has a deletionTimestamp.
    pub terminating: bool,
}

/// (namespace, name) of a record.
pub type RecordKey = (String, String);

impl RecordSight {
    /// Its namespace and name.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        (self.namespace.clone(), self.name.clone())
    }

    /// When it may go if nothing refers to it.
    fn due(&self) -> Timestamp {
        self.created.checked_add(COLLECTED_AFTER).unwrap_or(Timestamp::MAX)
    }
}

/// Whether a record with these labels is ours to collect. What Velero has restored waits for the Sandbox that it is
/// to become.
#[must_use]
pub fn is_our_record<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
    let mut ours = false;
    for (key, value) in labels {
        ours |= key == marks::MANAGED_BY && value == marks::US;
        if key.starts_with(marks::VELERO_PREFIX) {
            return false;
        }
    }
    ours
}

/// Records that may go, oldest first, and when the next one may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// These may go, once a live look has shown that no recovery point names them.
    pub due: Vec<RecordSight>,
    /// When the next one may, by time alone.
    pub wake: Option<Timestamp>,
}

/// Says which records may go: ours, old enough, and in nobody's use. `in_use` has those that a recovery point names,
/// and those that say what a living Sandbox is now.
#[must_use]
pub fn collection(now: Timestamp, records: &[RecordSight], in_use: &BTreeSet<RecordKey>) -> Collection {
    let idle = |record: &&RecordSight| record.ours && !record.terminating && !in_use.contains(&record.key());
    let (mut due, later): (Vec<&RecordSight>, Vec<&RecordSight>) =
        records.iter().filter(idle).partition(|record| record.due() <= now);
    due.sort_by_key(|record| (record.created, record.key()));
    Collection {
        due: due.into_iter().cloned().collect(),
        wake: later.into_iter().map(RecordSight::due).min(),
    }
}
