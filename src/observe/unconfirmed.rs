//! Writes of ours that the caches do not show yet.
//!
//! A pass that planned from a stale cache would order the same snapshot twice, or count a snapshot that it
//! has just deleted. Until the watch catches up, our own writes are laid over what it shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::csi::VolumeSnapshot;

/// A write that no watch has confirmed after this long is forgotten: what it made may be gone again.
/// Names are deterministic and deletes have preconditions, so forgetting one is harmless.
const FORGET_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Our own writes on top of the caches.
#[derive(Debug, Default)]
pub struct Unconfirmed {
    created: BTreeMap<String, (Timestamp, Arc<VolumeSnapshot>)>,
    deleted: BTreeMap<String, Timestamp>,
}

impl Unconfirmed {
    /// Remembers a snapshot that the API server has just accepted.
    pub fn created(&mut self, now: Timestamp, snapshot: VolumeSnapshot) {
        if let Some(uid) = snapshot.uid() {
            self.created.insert(uid, (now, Arc::new(snapshot)));
        }
    }

    /// Remembers a delete that the API server has just accepted.
    pub fn deleted(&mut self, now: Timestamp, uid: &str) {
        self.deleted.insert(uid.to_owned(), now);
    }

    /// Lays the writes over what the cache holds, and forgets those that it shows by itself.
    pub fn lay_over(&mut self, now: Timestamp, snapshots: &mut Vec<Arc<VolumeSnapshot>>) {
        let fresh = |at: &Timestamp| now.duration_since(*at) < FORGET_AFTER;
        self.created.retain(|_, (at, _)| fresh(at));
        self.deleted.retain(|_, at| fresh(at));

        let mut still_deleted = BTreeMap::new();
        for snapshot in snapshots.iter_mut() {
            let Some(uid) = snapshot.metadata.uid.clone() else { continue };
            self.created.remove(&uid);
            let Some(at) = self.deleted.get(&uid) else { continue };
            if snapshot.metadata.deletion_timestamp.is_none() {
                Arc::make_mut(snapshot).metadata.deletion_timestamp = Some(Time(*at));
                still_deleted.insert(uid, *at);
            }
        }
        self.deleted = still_deleted;
        snapshots.extend(self.created.values().map(|(_, snapshot)| snapshot.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csi::VolumeSnapshotSpec;

    fn snapshot(uid: &str) -> VolumeSnapshot {
        let mut snapshot = VolumeSnapshot::new(&format!("name-{uid}"), VolumeSnapshotSpec::default());
        snapshot.metadata.uid = Some(uid.into());
        snapshot
    }

    #[test]
    fn a_create_shows_until_the_cache_does() {
        let now = Timestamp::UNIX_EPOCH;
        let mut unconfirmed = Unconfirmed::default();
        unconfirmed.created(now, snapshot("a"));
        let mut stale = vec![];
        unconfirmed.lay_over(now, &mut stale);
        assert_eq!(stale.len(), 1, "laid over a cache that lacks it");
        let mut caught_up = vec![Arc::new(snapshot("a"))];
        unconfirmed.lay_over(now, &mut caught_up);
        assert_eq!(caught_up.len(), 1, "not twice");
        let mut gone_again = vec![];
        unconfirmed.lay_over(now, &mut gone_again);
        assert!(gone_again.is_empty(), "the cache has the last word once it has seen it");
    }

    #[test]
    fn a_delete_shows_as_leaving_until_the_cache_does() {
        let now = Timestamp::UNIX_EPOCH;
        let mut unconfirmed = Unconfirmed::default();
        unconfirmed.deleted(now, "a");
        let mut stale = vec![Arc::new(snapshot("a")), Arc::new(snapshot("b"))];
        unconfirmed.lay_over(now, &mut stale);
        assert!(stale[0].metadata.deletion_timestamp.is_some());
        assert!(stale[1].metadata.deletion_timestamp.is_none());
    }

    #[test]
    fn what_is_never_confirmed_is_forgotten() {
        let now = Timestamp::UNIX_EPOCH;
        let mut unconfirmed = Unconfirmed::default();
        unconfirmed.created(now, snapshot("a"));
        unconfirmed.deleted(now, "b");
        let later = now + FORGET_AFTER;
        let mut cache = vec![Arc::new(snapshot("b"))];
        unconfirmed.lay_over(later, &mut cache);
        assert_eq!(cache.len(), 1);
        assert!(cache[0].metadata.deletion_timestamp.is_none());
    }
}
