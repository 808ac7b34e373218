//! What is to be noted on recovery points.

use jiff::Timestamp;

use super::Judgement;
use crate::history::last_word;
use crate::retain::counted;
use crate::{Action, Fate, Mark, Note, Policy, RecoveryPoint, Volume};

impl Judgement<'_> {
    /// From when on it is noted on the newest point that another retention is in force, where one is. Until the next point
    /// can be expected, which carries it, there is no need to.
    pub(super) fn amended_at(&self, policy: &Policy, unchanged: bool) -> Option<Timestamp> {
        let (since, retention) = last_word(&self.volume.uid, &self.volume.points)?;
        // Until the clock has come to it again, what is noted now would be no later word.
        if since > self.now {
            return (retention != policy.retention).then_some(since);
        }
        let expected = || since.checked_add(policy.objective()).unwrap_or(Timestamp::MAX);
        (retention != policy.retention).then(|| if unchanged { self.now } else { expected() })
    }

    /// Without a note a shortened retention would never have its effect where nothing new is taken: of a Sandbox at rest,
    /// or because a quota is full of what might go.
    pub(super) fn amend(&self, policy: &Policy) -> Option<Action> {
        let Volume { uid, points, .. } = self.volume;
        let newest = counted(uid, points, self.readiness).first().map(|&i| &points[i])?;
        let note = Note::RetentionChanged { before: newest.amendments.clone(), retention: policy.retention };
        newest.amendments.have_room(self.now).then(|| self.mark(newest, note))
    }

    pub(super) fn mark(&self, point: &RecoveryPoint, note: Note) -> Action {
        Action::Mark(Mark {
            volume: self.id.clone(),
            name: point.name.clone(),
            uid: point.uid.clone(),
            version: point.version.clone(),
            note,
        })
    }

    /// AgentTier's sweep goes by age and label alone: what stays gives up the label, whatever keeps it, and also where no
    /// policy is in force, for a sweep that deletes it would make a lie of that.
    pub(super) fn hidden_from_agenttier(&self, fates: &[Fate]) -> Vec<Action> {
        if !self.volume.agenttier_loop.sweeps() {
            return Vec::new();
        }
        let shown = self.volume.points.iter().zip(fates).filter(|(point, fate)| {
            let ours = point.is_ours_of(&self.volume.uid) && !point.terminating();
            ours && point.looks_like_agenttiers && matches!(fate, Fate::Keep(_))
        });
        shown.map(|(point, _)| self.mark(point, Note::HideFromAgentTier)).collect()
    }

    /// A point that says that it was taken at rest proves nothing any more once something can have written since, even
    /// where the Sandbox then comes to be as it was.
    pub(super) fn no_longer_at_rest(&self) -> Option<Action> {
        let Self { volume, sight, readiness, .. } = *self;
        let since = sight.at_rest_since?;
        let sandbox = volume.sandbox.as_ref()?;
        let disturbed = volume.attached && !self.around.rest_in_doubt
            || sandbox.phase != "Stopped"
            || sandbox.last_activity != Some(since);
        let newest = counted(&volume.uid, &volume.points, readiness).first().map(|&i| &volume.points[i])?;
        disturbed.then(|| self.mark(newest, Note::NoLongerAtRest))
    }
}
