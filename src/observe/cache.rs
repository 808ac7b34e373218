//! The cache of one kind, and the watch that fills it.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::reflector::{self, ObjectRef, Store, store::WriterDropped};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use velero::Backup;

use super::backup_shelf::Shelf;
use super::following::Following;
use super::library::Holding;
use super::observed::watch_config;
use super::refusal::{Refusal, refusal};
use super::trim::Trim;
use super::trouble::{Trouble, cause};
use super::unreadable::{note, readable};

/// All objects of a kind, and whether that is all of them.
pub(super) struct Cache<K: Resource<DynamicType = ()> + 'static> {
    pub(super) store: Store<K>,
    pub(super) health: Health,
}

/// Whether a cache is kept up to date.
pub(super) struct Health {
    pub(super) following: Following,
    /// The status code that it has been refused with for a while; 0 where it has not.
    refused: Arc<AtomicU16>,
}

pub(super) type Filled<'a> = BoxFuture<'a, Result<(), WriterDropped>>;

/// A cache's kind, its being filled, and whether it is kept up to date.
pub(super) type Named<'a> = (&'static str, Filled<'a>, &'a Following);

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    pub(super) fn named(&self, kind: &'static str) -> Named<'_> {
        (kind, Box::pin(self.store.wait_until_ready()), &self.health.following)
    }

    /// What it holds; `None` as long as it was never filled.
    pub(super) fn once_filled(&self) -> Option<Vec<Arc<K>>> {
        matches!(self.store.wait_until_ready().now_or_never(), Some(Ok(()))).then(|| self.store.state())
    }

    /// What there is to say where nobody waits for the cache to be filled.
    pub(super) fn holding(&self) -> Holding<K> {
        self.health.holding(|| self.once_filled())
    }
}

impl Health {
    /// Whether it has been said for a while that there is no such kind.
    pub(super) fn has_no_kind(&self) -> bool {
        !self.is_trusted() && self.refused.load(Ordering::Relaxed) == 404
    }

    fn is_trusted(&self) -> bool {
        self.doubt().is_none()
    }

    /// What it is not kept up to date for, in the words of whoever stands in its way.
    pub(super) fn doubt(&self) -> Option<String> {
        self.following.doubt(Instant::now())
    }

    /// What there is to say of a cache that holds this, once it was filled.
    pub(super) fn holding<K>(&self, held: impl FnOnce() -> Option<Vec<Arc<K>>>) -> Holding<K> {
        if self.is_trusted() {
            return held().map_or(Holding::Unseen, Holding::Seen);
        }
        if self.refused.load(Ordering::Relaxed) == 0 { Holding::Unseen } else { Holding::Refused }
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
    let following = Following::new(changed.clone());
    let api = Api::all(following.client(client));
    follow(following, api, changed, watches, config)
}

/// Of one namespace.
pub(super) fn watch_in<K>(
    namespace: &str,
    client: &Client,
    changed: &Arc<Notify>,
    watches: &mut JoinSet<()>,
    config: watcher::Config,
) -> Cache<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Trim
        + Default
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let following = Following::new(changed.clone());
    let api = Api::namespaced(following.client(client), namespace);
    follow(following, api, changed, watches, config)
}

/// The backups of one namespace.
pub(super) struct BackupCache {
    shelf: Arc<Mutex<Shelf>>,
    pub(super) health: Health,
}

impl BackupCache {
    pub(super) fn watch(
        namespace: &str,
        client: &Client,
        changed: &Arc<Notify>,
        watches: &mut JoinSet<()>,
        config: watcher::Config,
    ) -> Self {
        let following = Following::new(changed.clone());
        let api = Api::namespaced(following.client(client), namespace);
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let filled = shelf.clone();
        let health =
            keep_up(following, api, changed, watches, config, move |event| lock(&filled).take(event));
        Self { shelf, health }
    }

    /// Those that tell how the Schedules stand.
    pub(super) fn holding(&self) -> Holding<Backup> {
        self.health.holding(|| lock(&self.shelf).telling())
    }
}

/// What is on it is whole after each event.
fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

fn follow<K>(
    following: Following,
    api: Api<DeserializeGuard<K>>,
    changed: &Arc<Notify>,
    watches: &mut JoinSet<()>,
    config: watcher::Config,
) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Trim + Default + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, mut writer) = reflector::store();
    let held = store.clone();
    let take = move |event: watcher::Event<K>| {
        let event = event.modify(Trim::trim);
        let is_news = is_news(&held, &event);
        writer.apply_watcher_event(&event);
        is_news
    };
    Cache { store, health: keep_up(following, api, changed, watches, config, take) }
}

/// Follows a kind; `take` takes up what there is to know, and says whether it is anything new.
fn keep_up<K>(
    following: Following,
    api: Api<DeserializeGuard<K>>,
    changed: &Arc<Notify>,
    watches: &mut JoinSet<()>,
    config: watcher::Config,
    mut take: impl FnMut(watcher::Event<K>) -> bool + Send + 'static,
) -> Health
where
    K: Resource<DynamicType = ()> + Trim + Default + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher(api, config);
    let refused = Arc::new(AtomicU16::new(0));
    let health = Health { following: following.clone(), refused: refused.clone() };
    let changed = changed.clone();
    watches.spawn(async move {
        let mut events = std::pin::pin!(events);
        let mut trouble = Trouble::default();
        let mut refusals = Refusal::default();
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    // It may have come right since the last time without a word.
                    if following.doubt(Instant::now()).is_none() {
                        trouble.is_over();
                        refusals = Refusal::default();
                        refused.store(0, Ordering::Relaxed);
                    }
                    let code = refusal(&error);
                    let for_long = refusals.lasts(code.is_some(), Instant::now());
                    if let Some(code) = code.filter(|_| for_long)
                        && refused.swap(code, Ordering::Relaxed) != code
                    {
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
                refusals = Refusal::default();
                refused.store(0, Ordering::Relaxed);
            }
            note(&following, &event);
            let mut quiet = matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
            if let Some(event) = readable(event) {
                quiet |= !take(event);
            }
            if !quiet {
                changed.notify_one();
            }
        }
    });
    health
}

/// Whether an event says anything that is not known.
fn is_news<K>(held: &Store<K>, event: &watcher::Event<K>) -> bool
where
    K: Resource<DynamicType = ()> + Trim + Clone + 'static,
{
    let watcher::Event::Apply(object) = event else { return true };
    held.get(&ObjectRef::from_obj(object)).is_none_or(|before| object.is_news(&before))
}
