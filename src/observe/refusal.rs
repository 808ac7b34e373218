//! A watch that the API server refuses.

use std::time::{Duration, Instant};

use kube::runtime::watcher;

/// An API server that comes back refuses everybody until it has read who may do what, and serves no CRD's kind before
/// it has read that: what lasts less long is no word to act upon.
const REFUSED_FOR: Duration = Duration::from_mins(1);

/// Since when a watch has heard nothing but refusals.
#[derive(Default)]
pub(super) struct Refusal(Option<Instant>);

impl Refusal {
    /// Notes a failure; whether it has been refused for long enough to believe it.
    pub(super) fn lasts(&mut self, refused: bool, now: Instant) -> bool {
        if !refused {
            self.0 = None;
            return false;
        }
        now.duration_since(*self.0.get_or_insert(now)) >= REFUSED_FOR
    }
}

/// The status code by which the API server says that there is no such kind (404), or no right to read it (403).
pub(super) fn refusal(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    let (InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error)) = error else {
        return None;
    };
    match error {
        kube::Error::Api(status) if matches!(status.code, 403 | 404) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_when_it_lasts() {
        let begun = Instant::now();
        let mut refusal = Refusal::default();
        assert!(!refusal.lasts(true, begun));
        assert!(!refusal.lasts(true, begun + Duration::from_secs(59)));
        assert!(!refusal.lasts(false, begun + Duration::from_mins(1)), "it was not reached");
        assert!(!refusal.lasts(true, begun + Duration::from_secs(61)), "it begins anew");
        assert!(refusal.lasts(true, begun + Duration::from_secs(121)));
    }
}
