//! Where a restore stands, and what it tells of that.

use std::time::Duration;

use agenttier_backup_plan::restore::Step;
use tokio::time::Instant;

use super::error::{Leftover, RestoreError};
use super::look::Found;
use super::perform::doing;
use super::prepare::Restore;
use super::waited_for::waited_for;
use crate::api_error::{is_denied, is_passing, sentence};

/// A wait that is longer is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(10);
/// An API server that comes back refuses everybody until it has read who is who and may do what: some seconds, and more
/// where the machine is busy. So long it is not believed.
const RIGHTS_ARE_READ_WITHIN: Duration = Duration::from_mins(1);

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

/// Where a restore stands, for whoever has to end it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) step: Option<Step>,
    /// Since when it has been at this step, without a word since.
    since: Option<Instant>,
    /// What has to move before it can go on.
    waits_for: Option<String>,
    /// What has been said of that.
    explained: Option<String>,
    /// What the API server says, or the way to it, as long as it cannot be asked.
    pub(super) trouble: Option<String>,
    /// When it last could not be reached.
    away: Option<Instant>,
    /// What there was of the restore when it was last seen.
    pub(super) left: Leftover,
}

impl Standing {
    /// What is being done, after "to".
    pub(super) fn doing(&self) -> &'static str {
        self.step.as_ref().map_or("see what there is", doing)
    }

    /// What it waits for: the API server, or else the object that does not move.
    pub(super) fn because(self) -> Option<String> {
        self.trouble.or(self.waits_for)
    }

    /// Whether the API server could not be asked at some time.
    pub(super) fn was_away(&self) -> bool {
        self.away.is_some()
    }

    /// It comes to this step, or is still there.
    pub(super) fn come_to(&mut self, step: &Step, found: &Found, tell: &mut impl FnMut(Progress<'_>)) {
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
    pub(super) fn wait_out(
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
