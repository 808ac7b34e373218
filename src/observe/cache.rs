//! The cache of one kind, and the watch that fills it.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store, store::WriterDropped};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::following::Following;
use super::library::Holding;
use super::observed::watch_config;
use super::refusal::{Refusal, is_refusal};
use super::trim::Trim;
use super::trouble::{Trouble, cause};
use super::unreadable::{note, readable};

/// All objects of a kind, and whether that is all of them.
pub(super) struct Cache<K: Resource<DynamicType = ()> + 'static> {
    pub(super) store: Store<K>,
    pub(super) following: Following,
    /// It has been refused for a while: there is no such kind, or no right to read it.
    refused: Arc<AtomicBool>,
}

pub(super) type Filled<'a> = BoxFuture<'a, Result<(), WriterDropped>>;

/// A cache's kind, its being filled, and whether it is kept up to date.
pub(super) type Named<'a> = (&'static str, Filled<'a>, &'a Following);

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    pub(super) fn named(&self, kind: &'static str) -> Named<'_> {
        (kind, Box::pin(self.store.wait_until_ready()), &self.following)
    }

    /// What it holds; `None` as long as it was never filled.
    pub(super) fn once_filled(&self) -> Option<Vec<Arc<K>>> {
        matches!(self.store.wait_until_ready().now_or_never(), Some(Ok(()))).then(|| self.store.state())
    }

    /// What there is to say where nobody waits for the cache to be filled.
    pub(super) fn holding(&self) -> Holding<K> {
        let trusted = self.following.doubt(Instant::now()).is_none();
        match self.store.wait_until_ready().now_or_never() {
            Some(Ok(())) if trusted => Holding::Seen(self.store.state()),
            _ if !trusted && self.refused.load(Ordering::Relaxed) => Holding::Refused,
            _ => Holding::Unseen,
        }
    }
}

pub(super) fn watch<K>(client: &Client, changed: &Arc<Notify>, watches: &mut JoinSet<()>) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Trim + Default + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    watch_some(client, changed, watches, watch_config())
}

pub(super) fn watch_some<K>(
    client: &Client,
    changed: &Arc<Notify>,
    watches: &mut JoinSet<()>,
    config: watcher::Config,
) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Trim + Default + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, mut writer) = reflector::store();
    let following = Following::new(changed.clone());
    let events = watcher(Api::<DeserializeGuard<K>>::all(following.client(client)), config);
    let refused = Arc::new(AtomicBool::new(false));
    let cache = Cache { store, following: following.clone(), refused: refused.clone() };
    let changed = changed.clone();
    watches.spawn(async move {
        let mut events = std::pin::pin!(events);
        let mut trouble = Trouble::default();
        let mut refusal = Refusal::default();
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    // It may have come right since the last time without a word.
                    if following.doubt(Instant::now()).is_none() {
                        trouble.is_over();
                        refusal = Refusal::default();
                        refused.store(false, Ordering::Relaxed);
                    }
                    let refused_for_long = refusal.lasts(is_refusal(&error), Instant::now());
                    if refused_for_long && !refused.swap(true, Ordering::Relaxed) {
                        changed.notify_one();
                    }
                    let error = cause(&error);
                    following.fails(error.clone());
                    trouble.wait_out::<K>(error).await;
                    continue;
                }
            };
            // The start of a list proves nothing yet: it is said before the API server is asked.
            if !matches!(event, watcher::Event::Init) {
                trouble.is_over();
                refusal = Refusal::default();
                refused.store(false, Ordering::Relaxed);
            }
            note(&following, &event);
            let quiet = matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
            if let Some(event) = readable(event) {
                writer.apply_watcher_event(&event.modify(Trim::trim));
            }
            if !quiet {
                changed.notify_one();
            }
        }
    });
    cache
}
