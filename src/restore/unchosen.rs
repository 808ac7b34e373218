//! Why no recovery point could be chosen where only a sandbox was named.

use agenttier_backup_plan::restore::{Candidate, Wanted};
use jiff::Timestamp;

use crate::age::age;

/// Why there is no choice without somebody's word.
#[derive(Debug, thiserror::Error)]
pub enum Unchosen {
    /// There is none to choose from.
    #[error(
        "no ready recovery point of sandbox {sandbox:?} in namespace {namespace:?}; \
         `agenttier-backup list -n {namespace}` shows what there is"
    )]
    NoPoint {
        /// The sandbox.
        sandbox: String,
        /// Its namespace.
        namespace: String,
    },
    /// The recovery points are not, or not only, of the volume that the sandbox uses now.
    #[error("{}", unclear(.sandbox, .offers, *.now))]
    Unclear {
        /// The sandbox.
        sandbox: String,
        /// The newest recovery point of each volume.
        offers: Vec<Offer>,
        /// When this was found.
        now: Timestamp,
    },
}

/// A recovery point that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The command line that takes it.
    pub command: String,
    /// The claim that it was taken of.
    pub claim: String,
    /// That claim is the one that the sandbox uses now.
    pub in_use: bool,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
}

impl Offer {
    /// That of a recovery point, to who wanted one and takes it by this command line.
    pub(crate) fn of(wanted: &Wanted, point: &Candidate, command: String) -> Self {
        Self {
            command,
            claim: point.claim.clone(),
            in_use: wanted.volume.as_ref() == Some(&point.volume),
            taken_at: point.taken_at,
        }
    }
}

fn unclear(sandbox: &str, offers: &[Offer], now: Timestamp) -> String {
    let what = match offers {
        [_] => "are of another volume than the one that it uses now".to_owned(),
        several => format!("are of {} volumes", several.len()),
    };
    let newest = offers.iter().map(|Offer { command, claim, in_use, taken_at }| {
        let in_use = if *in_use { ", in use now" } else { "" };
        format!("\n  {command}   # {} old, volume {claim}{in_use}", age(now, *taken_at))
    });
    format!(
        "the recovery points of sandbox {sandbox:?} {what}: AgentTier may have moved it to an empty volume of a warm \
         pool, or an earlier sandbox may have had its name. Say which one is meant; the newest of each volume:{}",
        newest.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unclear_is_listed_with_a_command_for_each() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().expect("a moment");
        let offer = |point: &str, claim: &str, in_use, ago: i64| Offer {
            command: format!("agenttier-backup restore s2 -n team-a --as s2-lost --from {point}"),
            claim: claim.into(),
            in_use,
            taken_at: now - jiff::SignedDuration::from_mins(ago),
        };
        let offers = vec![
            offer("pool-1-pvc-backup-9", "pool-1-pvc", true, 3),
            offer("w-7", "s2-workspace", false, 240),
        ];
        let text = Unchosen::Unclear { sandbox: "s2".into(), offers, now }.to_string();
        assert!(text.contains("are of 2 volumes"), "{text}");
        let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "agenttier-backup restore s2 -n team-a --as s2-lost --from pool-1-pvc-backup-9   \
                 # 3m old, volume pool-1-pvc, in use now",
                "agenttier-backup restore s2 -n team-a --as s2-lost --from w-7   \
                 # 4h old, volume s2-workspace",
            ]
        );
    }
}
