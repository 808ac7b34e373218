//! The loop of a restore: look, decide, do.

use std::time::Duration;

use agenttier_backup_plan::restore::{Step, next_step};
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::error::{Leftover, RestoreError};
use super::look::{Found, Looker};
use super::order::Order;
use super::perform::{doing, perform};
use super::prepare::Restore;
use super::waited_for::waited_for;
use crate::api_error::{is_denied, is_passing, sentence};

/// How often to look while something else is at work.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A wait that is longer is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(10);
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

/// What a restore tells while it goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// It is known what is made of what.
    Prepared(&'a Restore),
    /// It comes to this step.
    Step(&'a Step),
    /// It has waited for a while, for this object as it is now.
    Waiting(&'a str),
    /// The API server cannot be asked for the moment.
    Trouble(&'a str),
}

/// An API server that comes back refuses everybody until it has read who is who and may do what: some seconds, and more
/// where the machine is busy. So long it is not believed.
const RIGHTS_ARE_READ_WITHIN: Duration = Duration::from_mins(1);

/// Where a restore stands, for whoever has to end it.
#[derive(Debug, Default)]
struct Standing {
    step: Option<Step>,
    /// Since when it has been at this step, without a word since.
    since: Option<Instant>,
    /// What has to move before it can go on.
    waits_for: Option<String>,
    /// What has been said of that.
    explained: Option<String>,
    /// What the API server says, or the way to it, as long as it cannot be asked.
    trouble: Option<String>,
    /// When it last could not be reached.
    away: Option<Instant>,
    /// What there was of the restore when it was last seen.
    left: Leftover,
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
        let restore = standing.prepare(client, order, &mut tell).await?;
        tell(Progress::Prepared(&restore));
        let found = Box::pin(restore.bring_about(client, &mut standing, &mut tell)).await?;
        Ok(restore.restored(&found, begun.elapsed()))
    });
    tokio::time::timeout(limit, all_of_it).await.unwrap_or_else(|_| {
        Err(RestoreError::TimedOut {
            doing: standing.step.as_ref().map_or("see what there is", doing),
            after: begun.elapsed(),
            because: standing.trouble.or(standing.waits_for),
            command,
        })
    })
}

impl Standing {
    /// Finds what it is made of.
    async fn prepare(
        &mut self,
        client: &Client,
        order: Order,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Restore, RestoreError> {
        let mut pause = LOOK_EVERY;
        loop {
            match order.clone().prepare(client).await {
                Err(error) if self.away.is_some() || error.may_pass() => self.wait_out(error, tell)?,
                prepared => {
                    self.trouble = None;
                    return prepared;
                }
            }
            pause = sleep(pause).await;
        }
    }

    /// It comes to this step, or is still there.
    fn stands_at(&mut self, step: &Step, found: &Found, tell: &mut impl FnMut(Progress<'_>)) {
        if self.step.as_ref() != Some(step) {
            tell(Progress::Step(step));
            (self.step, self.since, self.explained) = (Some(step.clone()), Some(Instant::now()), None);
        }
        self.waits_for = waited_for(step, found);
        let is_long = self.since.is_some_and(|since| since.elapsed() >= EXPLAIN_AFTER);
        if let Some(waits_for) =
            self.waits_for.as_ref().filter(|_| is_long && self.explained != self.waits_for)
        {
            tell(Progress::Waiting(waits_for));
            self.since = Some(Instant::now());
            self.explained.clone_from(&self.waits_for);
        }
    }

    /// Says what is in the way if it may pass, and ends the restore if not.
    fn wait_out(
        &mut self,
        error: RestoreError,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), RestoreError> {
        let RestoreError::Api { doing, error, .. } = error else { return Err(error) };
        let passing = is_passing(&error);
        if passing {
            self.away = Some(Instant::now());
        }
        let just_back = self.away.is_some_and(|away| away.elapsed() < RIGHTS_ARE_READ_WITHIN);
        if !(passing || just_back && is_denied(&error)) {
            return Err(RestoreError::Api { doing, error, left: Box::new(self.left.clone()) });
        }
        let said = sentence(&error);
        if self.trouble.as_ref() != Some(&said) {
            tell(Progress::Trouble(&said));
            self.trouble = Some(said);
        }
        Ok(())
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
            standing.stands_at(&step, &found, tell);
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
