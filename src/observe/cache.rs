//! The cache of one kind, and the watch that fills it.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
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
        (kind, Box::pin(self.store.wait_until_ready()), &self.following)
    }

    /// What it holds; `None` as long as it was never filled.
    pub(super) fn once_filled(&self) -> Option<Vec<Arc<K>>> {
        matches!(self.store.wait_until_ready().now_or_never(), Some(Ok(()))).then(|| self.store.state())
    }

    /// Whether it has been said for a while that there is no such kind.
    pub(super) fn has_no_kind(&self) -> bool {
        !self.is_trusted() && self.refused.load(Ordering::Relaxed) == 404
    }

    fn is_trusted(&self) -> bool {
        self.following.doubt(Instant::now()).is_none()
    }

    /// What it is not kept up to date for, in the words of whoever stands in its way.
    pub(super) fn doubt(&self) -> Option<String> {
        self.following.doubt(Instant::now())
    }

    /// What there is to say where nobody waits for the cache to be filled.
    pub(super) fn holding(&self) -> Holding<K> {
        let trusted = self.is_trusted();
        match self.store.wait_until_ready().now_or_never() {
            Some(Ok(())) if trusted => Holding::Seen(self.store.state()),
            _ if !trusted && self.refused.load(Ordering::Relaxed) != 0 => Holding::Refused,
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
    let events = watcher(api, config);
    let refused = Arc::new(AtomicU16::new(0));
    let held = store.clone();
    let cache = Cache { store, following: following.clone(), refused: refused.clone() };
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
                let event = event.modify(Trim::trim);
                quiet |= !is_news(&held, &event);
                writer.apply_watcher_event(&event);
            }
            if !quiet {
                changed.notify_one();
            }
        }
    });
    cache
}

/// Whether an event says anything that is not known.
fn is_news<K>(held: &Store<K>, event: &watcher::Event<K>) -> bool
where
    K: Resource<DynamicType = ()> + Trim + Clone + 'static,
{
    let watcher::Event::Apply(object) = event else { return true };
    held.get(&ObjectRef::from_obj(object)).is_none_or(|before| object.is_news(&before))
}
