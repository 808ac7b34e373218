//! The loop of a restore: look, decide, do.

use std::time::Duration;

use agenttier_backup_plan::restore::{Step, next_step};
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::error::{Leftover, RestoreError};
use super::look::{Found, Looker};
use super::order::Order;
use super::perform::perform;
use super::prepare::Restore;
use super::standing::{Progress, Standing};

/// How often to look while something else is at work.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long to wait at most before the API server is tried again.
const TRY_AGAIN_WITHIN: Duration = Duration::from_secs(3);

/// A restore that has ended well.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Namespace of the Sandbox.
    pub namespace: String,
    /// The Sandbox.
    pub sandbox: String,
    /// The Sandbox whose spec it has.
    pub source: String,
    /// Its workspace claim.
    pub claim: String,
    /// The recovery point that it was made from.
    pub recovery_point: String,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
    /// `Running` or `Stopped`.
    pub phase: String,
    /// The volume holds the data. One that binds on first use and was left stopped is filled when it is started; until
    /// then its recovery point is kept.
    pub filled: bool,
    /// Seconds from the first look to the end.
    pub seconds: f64,
}

/// Restores, until it is done or `limit` has passed. `tell` hears what happens before it does.
///
/// Trouble with the API server that may pass is waited out once something may have been made; before, once
/// there was a connection: without one it may be the wrong address. It may be run again: it goes on where it was.
///
/// # Errors
/// When it cannot go on, or has not come to its end in time.
pub async fn restore(
    client: &Client,
    order: Order,
    limit: Duration,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let mut standing = Standing::default();
    let command = order.again();
    let all_of_it = Box::pin(async {
        let restore = prepare(client, order, &mut standing, &mut tell).await?;
        tell(Progress::Prepared(&restore));
        let found = Box::pin(restore.bring_about(client, &mut standing, &mut tell)).await?;
        Ok(restore.restored(&found, begun.elapsed()))
    });
    tokio::time::timeout(limit, all_of_it).await.unwrap_or_else(|_| {
        let (doing, because) = (standing.doing(), standing.because());
        Err(RestoreError::TimedOut { doing, because, after: begun.elapsed(), command })
    })
}

/// Finds what it is made of.
async fn prepare(
    client: &Client,
    order: Order,
    standing: &mut Standing,
    tell: &mut impl FnMut(Progress<'_>),
) -> Result<Restore, RestoreError> {
    let mut pause = LOOK_EVERY;
    loop {
        match order.clone().prepare(client).await {
            Err(error) if standing.was_away() || error.may_pass() => standing.wait_out(error, tell)?,
            prepared => {
                standing.trouble = None;
                return prepared;
            }
        }
        pause = sleep(pause).await;
    }
}

impl Restore {
    /// Goes on until it is done.
    async fn bring_about(
        &self,
        client: &Client,
        standing: &mut Standing,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Found, RestoreError> {
        let claim = self.order.target.claim();
        let mut looker = Looker::new(client, self);
        let mut pause = LOOK_EVERY;
        loop {
            let found = match looker.look().await {
                Ok(found) => found,
                Err(error) => {
                    standing.wait_out(RestoreError::api("see what there is", error), tell)?;
                    pause = sleep(pause).await;
                    continue;
                }
            };
            standing.left = self.left(&found);
            let step = next_step(&found.sight, &claim, self.order.start);
            let again = standing.step.as_ref() == Some(&step);
            standing.come_to(&step, &found, tell);
            match &step {
                Step::Done => return Ok(found),
                Step::Refuse(refusal) => {
                    return Err(RestoreError::Refused {
                        refusal: refusal.clone(),
                        left: Box::new(standing.left.clone()),
                    });
                }
                step => {
                    let done = async {
                        if found.sandbox.is_none() {
                            self.can_be_made(client).await?;
                        }
                        perform(client, self, &found, step).await
                    };
                    if let Err(error) = done.await {
                        // What is there by now, where that can be seen.
                        if let Ok(found) = looker.look().await {
                            standing.left = self.left(&found);
                        }
                        standing.wait_out(error, tell)?;
                        pause = sleep(pause).await;
                        continue;
                    }
                }
            }
            (standing.trouble, pause) = (None, LOOK_EVERY);
            // The same step again means that something else has to move first.
            if again || is_wait(&step) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Whether there is all that its Sandbox is to be made of.
    async fn can_be_made(&self, client: &Client) -> Result<(), RestoreError> {
        if let Some(source) = &self.source {
            return source.is_whole(&self.order);
        }
        let recorded = self.origin.recorded(client, &self.order).await;
        Err(recorded.err().unwrap_or_else(|| RestoreError::no_sandbox(&self.order)))
    }

    /// What there is of this restore.
    fn left(&self, found: &Found) -> Leftover {
        let sandbox = found.sight.sandbox.as_ref().is_some_and(|sandbox| sandbox.ours);
        let claim = found.sight.claim.is_some_and(|claim| claim.ours && !(sandbox && claim.owned_by_sandbox));
        Leftover {
            namespace: self.order.namespace.clone(),
            claim: claim.then(|| self.order.target.claim()),
            sandbox: sandbox.then(|| self.order.target.to_string()),
            command: self.order.again(),
        }
    }

    fn restored(&self, found: &Found, took: Duration) -> Restored {
        Restored {
            namespace: self.order.namespace.clone(),
            sandbox: self.order.target.to_string(),
            source: self.origin.sandbox.clone(),
            claim: self.order.target.claim(),
            recovery_point: self.origin.point.clone(),
            taken_at: self.origin.taken_at,
            phase: found.sandbox.as_ref().map(|sandbox| sandbox.phase().to_owned()).unwrap_or_default(),
            filled: found.sight.claim.is_some_and(|claim| claim.bound),
            seconds: took.as_secs_f64(),
        }
    }
}

/// Sleeps, and says how long to sleep next time.
async fn sleep(pause: Duration) -> Duration {
    tokio::time::sleep(pause).await;
    (pause * 2).min(TRY_AGAIN_WITHIN)
}

fn is_wait(step: &Step) -> bool {
    matches!(step, Step::AwaitBound | Step::AwaitRunning | Step::AwaitStopped)
}
