//! Why a restore has not ended well, and what to do about it.

use std::fmt;
use std::time::Duration;

use agenttier_backup_plan::restore::Refusal;
use jiff::Timestamp;

use super::order::Order;
use super::unchosen::{Offer, Unchosen};
use crate::age::age;
use crate::api_error::{is_passing, is_reached, sentence};

/// So many recovery points are offered at once.
const OFFERS: usize = 10;

/// Why a restore has not ended well.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is no source.
    #[error(
        "there is no sandbox {sandbox:?} in namespace {namespace:?}, and its spec is needed to make another one \
         like it"
    )]
    NoSandbox {
        /// Its name.
        sandbox: String,
        /// The namespace.
        namespace: String,
    },
    /// The source is gone, and what it was is not known.
    #[error(
        "NoRecord: there is no sandbox {sandbox:?} in namespace {namespace:?} any more, and recovery point {point:?} \
         {cause}: its spec is not known. To put its data under the spec of another sandbox, run\n  {command}"
    )]
    NoRecord {
        /// The sandbox.
        sandbox: String,
        /// Its namespace.
        namespace: String,
        /// The recovery point.
        point: String,
        /// What is the matter with the record.
        cause: String,
        /// The command line that takes another sandbox's spec.
        command: String,
    },
    /// AgentTier would look for a template in vain.
    #[error(
        "sandbox {sandbox:?} is gone, and so is {template}, which it was made from: AgentTier would put it in Error for \
         good. Make the template again (`kubectl get sandboxrecord {record} -n {namespace} -o yaml` has what it said), then run the \
         same command again"
    )]
    NoTemplate {
        /// The sandbox.
        sandbox: String,
        /// Its namespace.
        namespace: String,
        /// Kind and name of the template.
        template: String,
        /// The record of the sandbox.
        record: String,
    },
    /// The named recovery point does not exist.
    #[error("there is no VolumeSnapshot {name:?} in namespace {namespace:?}")]
    NoSuchPoint {
        /// The name that was given.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// None could be chosen.
    #[error(transparent)]
    Unchosen(#[from] Unchosen),
    /// The data of every recovery point is younger than wanted.
    #[error("{}", all_younger(.sandbox, *.as_of, .offers, *.now))]
    AllYounger {
        /// The sandbox.
        sandbox: String,
        /// The moment that the data was wanted of.
        as_of: Timestamp,
        /// Its recovery points, oldest first.
        offers: Vec<Offer>,
        /// When this was found.
        now: Timestamp,
    },
    /// The named recovery point is of another sandbox.
    #[error(
        "VolumeSnapshot {point:?} is of {holds}, not of {sandbox:?}; to put its data under the spec of \
         {sandbox:?} all the same, run\n  {command} --from {point} --from-other"
    )]
    OtherSandboxes {
        /// The VolumeSnapshot.
        point: String,
        /// Whose data it holds.
        holds: String,
        /// The sandbox that was asked for.
        sandbox: String,
        /// The command line that lacks a recovery point.
        command: String,
    },
    /// Another restore has begun to make a sandbox of that name.
    #[error("{}", begun_otherwise(.target, .point, .sandbox, .go_on.as_deref()))]
    BegunOtherwise {
        /// The sandbox to be made.
        target: String,
        /// What it is made from.
        point: String,
        /// Whose spec it gets.
        sandbox: String,
        /// The command line that goes on with it, where it can go on.
        go_on: Option<String>,
    },
    /// It cannot go on.
    #[error("cannot restore: {refusal}{left}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// What was made before.
        left: Box<Leftover>,
    },
    /// The API server said no.
    #[error("cannot {doing}: {}{left}", sentence(.error))]
    Api {
        /// What was being done.
        doing: String,
        /// What the API server, or the way to it, said.
        error: Box<kube::Error>,
        /// What was made before.
        left: Box<Leftover>,
    },
    /// It took too long; the same command goes on where it stopped.
    #[error(
        "not finished after {} s, while waiting to {doing}{}; to go on, run\n  {command}",
        .after.as_secs(), .because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default()
    )]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// How long it has tried.
        after: Duration,
        /// What stood in the way in the end: the API server, or else the object that did not move.
        because: Option<String>,
        /// The command line that goes on.
        command: String,
    },
}

/// What a restore that cannot go on has made already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leftover {
    /// The namespace.
    pub namespace: String,
    /// The claim, unless its Sandbox takes it along.
    pub claim: Option<String>,
    /// The Sandbox.
    pub sandbox: Option<String>,
    /// The command line that goes on once the reason is gone.
    pub command: String,
}

impl RestoreError {
    /// A call that failed; what was made before is for the one to say who knows it.
    pub(super) fn api(doing: impl Into<String>, error: kube::Error) -> Self {
        Self::Api { doing: doing.into(), error: Box::new(error), left: Box::default() }
    }

    /// Whether an API server that is there may well answer later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Api { error, .. } if is_passing(error) && is_reached(error))
    }

    pub(super) fn no_sandbox(order: &Order) -> Self {
        Self::NoSandbox { sandbox: order.sandbox.clone(), namespace: order.namespace.clone() }
    }

    pub(super) fn no_record(order: &Order, point: &str, cause: String) -> Self {
        Self::NoRecord {
            sandbox: order.sandbox.clone(),
            namespace: order.namespace.clone(),
            point: point.to_owned(),
            cause,
            command: format!("{} --from {point} --from-other", order.command("OTHER_SANDBOX")),
        }
    }

    pub(super) fn no_point(order: &Order) -> Self {
        Unchosen::NoPoint { sandbox: order.sandbox.clone(), namespace: order.namespace.clone() }.into()
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, claim, sandbox, command } = self;
        let sandbox = sandbox.as_ref().map(|name| ("sandboxes.agenttier.io", name));
        let claim = claim.as_ref().map(|name| ("persistentvolumeclaims", name));
        let left: Vec<_> = sandbox.into_iter().chain(claim).collect();
        if left.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "\nWhat was made so far stays. To go on once the reason is gone, run\n  {command}\nTo remove it, run"
        )?;
        for (kind, name) in left {
            write!(f, "\n  kubectl delete {kind} {name} -n {namespace}")?;
        }
        Ok(())
    }
}

fn all_younger(sandbox: &str, as_of: Timestamp, offers: &[Offer], now: Timestamp) -> String {
    let oldest = offers.iter().take(OFFERS).map(|Offer { command, taken_at, .. }| {
        format!("\n  {command}   # {} old, of {taken_at}", age(now, *taken_at))
    });
    let more = match offers.len().saturating_sub(OFFERS) {
        0 => String::new(),
        more => format!("\nand {more} younger ones"),
    };
    format!(
        "sandbox {sandbox:?} has no recovery point of {as_of} or before; there are, oldest first:{}{more}",
        oldest.collect::<String>()
    )
}

fn begun_otherwise(target: &str, point: &str, sandbox: &str, go_on: Option<&str>) -> String {
    let earlier = if go_on.is_some() { "" } else { "an earlier " };
    let or = go_on.map(|command| format!(", or go on with that one:\n  {command}")).unwrap_or_default();
    format!(
        "a restore into {target:?} has begun already, from recovery point {point:?} of {earlier}sandbox {sandbox:?}; \
         choose another name with --as{or}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_young_is_listed_with_a_command_for_each() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().expect("a moment");
        let offers = (1..=12)
            .map(|n| Offer {
                command: format!("agenttier-backup restore s1 -n team-a --as x --from p{n}"),
                claim: "s1-workspace".into(),
                in_use: true,
                taken_at: now - jiff::SignedDuration::from_mins(60 - n),
            })
            .collect();
        let as_of = now - jiff::SignedDuration::from_hours(1);
        let text = RestoreError::AllYounger { sandbox: "s1".into(), as_of, offers, now }.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("of 2026-01-02T11:00:00Z or before"), "{text}");
        let first =
            "  agenttier-backup restore s1 -n team-a --as x --from p1   # 59m old, of 2026-01-02T11:01:00Z";
        assert_eq!((lines[1], lines.len()), (first, 12), "{text}");
        assert_eq!(lines[11], "and 2 younger ones");
    }

    #[test]
    fn what_was_made_is_named_with_the_way_to_remove_it_and_nothing_else_is() {
        let refused =
            |left| RestoreError::Refused { refusal: Refusal::VolumeLost, left: Box::new(left) }.to_string();
        assert_eq!(refused(Leftover::default()).lines().count(), 1);
        let left = Leftover {
            namespace: "team-a".into(),
            claim: Some("x-workspace".into()),
            sandbox: None,
            command: "agenttier-backup restore s1 -n team-a --as x".into(),
        };
        let text = refused(left.clone());
        assert!(text.ends_with("\n  kubectl delete persistentvolumeclaims x-workspace -n team-a"), "{text}");
        assert!(text.contains("\n  agenttier-backup restore s1 -n team-a --as x\n"), "{text}");
        let text = refused(Leftover { claim: None, sandbox: Some("x".into()), ..left });
        assert!(text.ends_with("\n  kubectl delete sandboxes.agenttier.io x -n team-a"), "{text}");
    }
}
