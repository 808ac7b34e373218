//! Sandboxes that were switched to another volume.

use std::collections::BTreeSet;
use std::time::Duration;

use agenttier_backup_plan::{Reason, Verdict, VolumeUid};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio_util::sync::CancellationToken;

use super::super::lately_saved::lately_saved;
use super::Passes;
use super::outcomes::sandbox_named;
use crate::act::prove_switched;
use crate::observe::Observed;
use crate::publish::Occasion;

/// So many Sandboxes are read at once before it is said that they were switched.
const PROOFS_AT_ONCE: usize = 8;
/// A pass spends so long on that.
const PROOFS_WITHIN: Duration = Duration::from_secs(10);

impl Passes {
    /// Says on a Sandbox that it was switched to another volume, until what it left behind is saved, and for a while
    /// after: what was saved may still be to be told of.
    ///
    /// Read live before: caches of two kinds do not show the same moment.
    pub(super) async fn tell_of_switches(
        &mut self,
        now: Timestamp,
        observed: &Observed,
        verdicts: &[Verdict],
        stop: &CancellationToken,
    ) {
        const REASON: &str = "WorkspaceSwitched";
        let mut untold = Vec::new();
        let lately_saved = lately_saved(now, &observed.snapshots);
        for verdict in verdicts {
            let volume = &verdict.volume;
            let notice = verdict.notices.iter().find(|notice| notice.reason == Reason::WorkspaceSwitched);
            let Some(notice) = notice else {
                // Should it be left once more, that is news.
                self.noted.announced.is_over(&volume.uid, REASON);
                self.noted.unproved.is_over(&volume.uid);
                continue;
            };
            // What takes part in snapshots is yet to be saved.
            let is_told_of = verdict.interval.is_some() || lately_saved.contains(&volume.uid);
            let (true, Some(name)) = (is_told_of, &verdict.sandbox) else { continue };
            let sandbox = sandbox_named(observed, &volume.namespace, name);
            let may = !self.noted.announced.was_said(now, &volume.uid, REASON)
                && !self.noted.unproved.waits(now, &volume.uid);
            // One that is being started proves nothing yet, and is not to wait for longer and longer because of that.
            let sandbox = sandbox.filter(|sandbox| may && !sandbox.is_starting());
            if let Some(sandbox) = sandbox {
                untold.push((volume, sandbox, notice.message.clone()));
            }
        }
        let mut untried: BTreeSet<&VolumeUid> = untold.iter().map(|(volume, ..)| &volume.uid).collect();
        let client = self.client.clone();
        let end = tokio::time::Instant::now() + PROOFS_WITHIN;
        let goes_on = || !stop.is_cancelled() && tokio::time::Instant::now() < end;
        let proofs = futures::stream::iter(untold).take_while(|_| std::future::ready(goes_on()));
        let proofs = proofs.map(|(volume, sandbox, message)| {
            let client = client.clone();
            async move {
                let uid = sandbox.metadata.uid.clone().unwrap_or_default();
                let name = sandbox.name_any();
                let proof = prove_switched(&client, volume, &name, &uid);
                let proof = tokio::time::timeout_at(end, proof);
                let is_proved = tokio::select! {
                    biased;
                    () = stop.cancelled() => false,
                    proof = proof => matches!(proof, Ok(Ok(()))),
                };
                (volume, sandbox, message, is_proved)
            }
        });
        let proofs: Vec<_> = proofs.buffer_unordered(PROOFS_AT_ONCE).collect().await;
        for (volume, sandbox, message, is_proved) in proofs {
            untried.remove(&volume.uid);
            if !is_proved {
                self.noted.unproved.failed(now, &volume.uid);
                continue;
            }
            self.noted.unproved.is_over(&volume.uid);
            if self.noted.announced.is_news(now, &volume.uid, REASON) {
                let (namespace, name) = (&volume.namespace, sandbox.name_any());
                tracing::warn!(%namespace, sandbox = name, message, "workspace switched");
                // Each switch is told of once: AgentTier starts a Sandbox for it.
                let started =
                    sandbox.status.as_ref().and_then(|status| status.last_activity_timestamp.as_ref());
                let about = format!("{}.{}", volume.claim, started.map_or(0, |at| at.0.as_second()));
                self.announcer.announce(
                    &sandbox,
                    Occasion { reason: REASON, kind: "Warning", message, about, at: now },
                );
            }
        }
        // What there was no time for has its turn a little later.
        for volume in untried {
            self.noted.unproved.failed(now, volume);
        }
    }
}
