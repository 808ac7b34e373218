//! The guard that every write takes.

use std::sync::Arc;
use std::time::Duration;

use agenttier_backup_plan::{LeaseTimes, Uptime};
use tokio::sync::watch;
use tokio::time::Instant;

/// This process does not lead, or cannot be sure that it still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead")]
pub struct NotLeading;

/// Whether this process may write, right now.
///
/// It is asked before every attempt at a write, below any retry. The answer comes from the monotonic clock, which
/// goes on while the process is frozen: a leader that was stopped in the middle of a batch and thawed after its
/// deadline starts no further write, though it has not heard yet that it was replaced.
#[derive(Debug, Clone)]
pub struct Leadership {
    started: Instant,
    deadline: Duration,
    renewed: Arc<watch::Sender<Option<Uptime>>>,
    alone: bool,
}

impl Leadership {
    /// Of a candidate that has not been elected yet.
    #[must_use]
    pub fn candidate(times: &LeaseTimes) -> Self {
        Self {
            started: Instant::now(),
            deadline: times.renew_deadline,
            renewed: Arc::new(watch::Sender::new(None)),
            alone: false,
        }
    }

    /// Of a process that is told to run alone, without a Lease.
    #[must_use]
    pub fn alone() -> Self {
        Self { alone: true, ..Self::candidate(&LeaseTimes::default()) }
    }

    /// Says whether a write may start now.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self) -> Result<(), NotLeading> {
        let leads =
            self.alone || self.renewed.borrow().is_some_and(|renewed| self.now() < renewed + self.deadline);
        if leads { Ok(()) } else { Err(NotLeading) }
    }

    /// Waits until this process leads.
    pub async fn gained(&self) {
        let mut renewed = self.renewed.subscribe();
        while self.check().is_err() {
            if renewed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this process leads no longer.
    pub async fn lost(&self) {
        let mut renewed = self.renewed.subscribe();
        while self.check().is_ok() {
            let deadline = renewed.borrow_and_update().map(|at| self.started + at + self.deadline);
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => {}
                changed = renewed.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Time since the start, by the clock of [`check`](Self::check).
    pub(super) fn now(&self) -> Uptime {
        self.started.elapsed()
    }

    /// When the write that made this process leader, or kept it so, began.
    pub(super) fn renewed(&self) -> Option<Uptime> {
        *self.renewed.borrow()
    }

    pub(super) fn set(&self, renewed: Option<Uptime>) {
        self.renewed.send_replace(renewed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(deadline: Duration) -> Leadership {
        Leadership::candidate(&LeaseTimes { renew_deadline: deadline, ..LeaseTimes::default() })
    }

    #[tokio::test]
    async fn ends_at_the_deadline_whether_anybody_says_so_or_not() {
        let leadership = candidate(Duration::from_millis(200));
        assert_eq!(leadership.check(), Err(NotLeading));
        let renewed = leadership.now();
        leadership.set(Some(renewed));
        leadership.lost().await;
        assert_eq!(leadership.check(), Err(NotLeading));
        assert!(leadership.now() >= renewed + Duration::from_millis(200), "not before");
        assert_eq!(leadership.renewed(), Some(renewed), "nobody has said so");
    }

    #[tokio::test]
    async fn begins_and_ends_when_it_is_said() {
        let leadership = candidate(Duration::from_hours(1));
        let other = leadership.clone();
        let gained = tokio::spawn(async move { other.gained().await });
        leadership.set(Some(leadership.now()));
        gained.await.expect("it is heard of");
        assert_eq!(leadership.check(), Ok(()));
        let other = leadership.clone();
        let lost = tokio::spawn(async move { other.lost().await });
        leadership.set(None);
        lost.await.expect("it is heard of");
        assert_eq!(leadership.check(), Err(NotLeading));
    }

    #[tokio::test]
    async fn who_is_alone_always_leads() {
        let leadership = Leadership::alone();
        assert_eq!(leadership.check(), Ok(()));
        leadership.gained().await;
    }
}
