//! Carrying out a list of orders.

use std::time::Duration;

use agenttier_backup_plan::{Action, ActionKind, RecordSight, Subject};
use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::collect::{collect, named_records};
use super::mark::mark;
use super::prune::prune;
use super::record::record;
use super::take_snapshot::take_snapshot;
use crate::csi::VolumeSnapshot;
use crate::deadline::CALL_DEADLINE;
use crate::leader::Leadership;

/// What came of one order.
#[derive(Debug)]
pub struct Outcome {
    /// The order.
    pub action: Action,
    /// What was done, or why not.
    pub result: Result<Done, Failure>,
}

/// What was done.
#[derive(Debug)]
pub enum Done {
    /// This snapshot exists now.
    Taken(Box<VolumeSnapshot>),
    /// The API server accepted the delete.
    Pruned,
    /// The note is on the recovery point.
    Marked,
}

/// Carries out orders, several at a time.
#[derive(Clone)]
pub struct Executor {
    client: Client,
    leadership: Leadership,
    at_once: usize,
}

impl Executor {
    /// Calls under way at once are at most `at_once`; none of them writes without leadership.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership, at_once: usize) -> Self {
        Self { client, leadership, at_once }
    }

    /// Carries out the orders in their order, all prunes before any snapshot and those before any note, and says
    /// what came of each. `now` is the time that notes tell.
    ///
    /// One that fails stops none of the others. Once `stop` is cancelled no further one is begun; those
    /// under way are brought to their end.
    pub async fn run(&self, now: Timestamp, actions: Vec<Action>, stop: &CancellationToken) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut rest = actions;
        for kind in [ActionKind::Prune, ActionKind::TakeSnapshot, ActionKind::Mark] {
            let (batch, others) = rest.into_iter().partition(|action| action.kind() == kind);
            outcomes.extend(self.run_batch(now, batch, stop).await);
            rest = others;
        }
        outcomes
    }

    /// Makes records, in their order. After half of `limit` no further one is begun, and after all of it those under
    /// way are given up, so that what comes next is not kept waiting.
    pub async fn record(
        &self,
        subjects: Vec<Subject>,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Vec<(Subject, Result<(), Failure>)> {
        let begun = Instant::now();
        futures::stream::iter(subjects)
            .take_while(|_| std::future::ready(!stop.is_cancelled() && begun.elapsed() < limit / 2))
            .map(|subject| async move {
                let made = record(&self.client, &self.leadership, &subject);
                let made = tokio::time::timeout_at(begun + limit, made).await;
                (subject, made.unwrap_or(Err(Failure::NoAnswer)))
            })
            .buffer_unordered(self.at_once)
            .collect()
            .await
    }

    /// Deletes records of one namespace that nothing refers to, under the same limit.
    pub async fn collect(
        &self,
        namespace: &str,
        records: Vec<RecordSight>,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Vec<(RecordSight, Result<(), Failure>)> {
        let begun = Instant::now();
        let named = tokio::time::timeout(limit / 2, named_records(&self.client, namespace)).await;
        let named = match named.unwrap_or(Err(Failure::NoAnswer)) {
            Ok(named) => named,
            // One list for all: one failure tells as much as many.
            Err(failure) => {
                return records.into_iter().next().map(|first| (first, Err(failure))).into_iter().collect();
            }
        };
        futures::stream::iter(records)
            .take_while(|_| std::future::ready(!stop.is_cancelled() && begun.elapsed() < limit / 2))
            .map(async |record| {
                let gone = collect(&self.client, &self.leadership, &record, &named);
                let gone = tokio::time::timeout_at(begun + limit, gone).await;
                (record, gone.unwrap_or(Err(Failure::NoAnswer)))
            })
            .buffer_unordered(self.at_once)
            .collect()
            .await
    }

    async fn run_batch(
        &self,
        now: Timestamp,
        actions: Vec<Action>,
        stop: &CancellationToken,
    ) -> Vec<Outcome> {
        futures::stream::iter(actions)
            .take_while(|_| std::future::ready(!stop.is_cancelled()))
            .map(|action| async move {
                // One deadline for the whole order, so that a stop is never far away.
                let result = tokio::time::timeout(CALL_DEADLINE, self.carry_out(now, &action)).await;
                let result = result.unwrap_or(Err(Failure::NoAnswer));
                Outcome { action, result }
            })
            .buffer_unordered(self.at_once)
            .collect()
            .await
    }

    async fn carry_out(&self, now: Timestamp, action: &Action) -> Result<Done, Failure> {
        match action {
            Action::Prune(order) => prune(&self.client, &self.leadership, order).await.map(|()| Done::Pruned),
            Action::TakeSnapshot(order) => take_snapshot(&self.client, &self.leadership, order)
                .await
                .map(|snapshot| Done::Taken(Box::new(snapshot))),
            Action::Mark(order) => {
                mark(&self.client, &self.leadership, now, order).await.map(|()| Done::Marked)
            }
        }
    }
}
