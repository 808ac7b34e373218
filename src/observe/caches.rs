//! Watch caches over everything that planning looks at.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::core::{DeserializeGuard, ObjectMeta, PartialObjectMeta, error_boundary::InvalidObject};
use kube::runtime::reflector::{self, Store, store::WriterDropped};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::agenttier_loop::CONTROLLERS;
use super::following::Following;
use super::library::{Holding, Library};
use super::observed::{ATTACHMENTS, Observed, SANDBOXES, watch_config};
use super::trim::Trim;
use crate::agenttier::{ClusterSandboxTemplate, Sandbox, SandboxTemplate};
use crate::api::{BackupPolicy, SandboxRecord};
use crate::api_error::sentence;
use crate::csi::{VolumeSnapshot, VolumeSnapshotClass};

/// The longest that a failing watch pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The caches.
pub struct Caches {
    claims: Cache<PersistentVolumeClaim>,
    persistent_volumes: Cache<PersistentVolume>,
    sandboxes: Cache<Sandbox>,
    snapshots: Cache<VolumeSnapshot>,
    policies: Cache<BackupPolicy>,
    namespaces: Cache<Namespace>,
    classes: Cache<VolumeSnapshotClass>,
    attachments: Cache<VolumeAttachment>,
    deployments: Cache<Deployment>,
    records: Cache<PartialObjectMeta<SandboxRecord>>,
    templates: Cache<SandboxTemplate>,
    cluster_templates: Cache<ClusterSandboxTemplate>,
    changed: Arc<Notify>,
}

/// All objects of a kind, and whether that is all of them.
struct Cache<K: Resource<DynamicType = ()> + 'static> {
    store: Store<K>,
    following: Following,
    /// It has been refused for a while: there is no such kind, or no right to read it.
    refused: Arc<AtomicBool>,
}

/// The tasks that fill the caches. A watch that fails, also because a CRD is absent, is tried again with
/// back-off for ever; dropping this ends them all.
pub struct Watches(JoinSet<()>);

impl Watches {
    /// Waits until one has ended, which none ever should: from then on a cache would grow stale in silence.
    pub async fn one_ended(&mut self) {
        self.0.join_next().await;
    }
}

impl Caches {
    /// Starts the watches.
    #[must_use]
    pub fn start(client: &Client) -> (Self, Watches) {
        let changed = Arc::new(Notify::new());
        let mut watches = JoinSet::new();
        let caches = Self {
            claims: watch(client, &changed, &mut watches),
            persistent_volumes: watch(client, &changed, &mut watches),
            sandboxes: watch(client, &changed, &mut watches),
            snapshots: watch(client, &changed, &mut watches),
            policies: watch(client, &changed, &mut watches),
            namespaces: watch(client, &changed, &mut watches),
            classes: watch(client, &changed, &mut watches),
            attachments: watch(client, &changed, &mut watches),
            deployments: watch_some(client, &changed, &mut watches, watch_config().labels(CONTROLLERS)),
            records: watch(client, &changed, &mut watches),
            templates: watch(client, &changed, &mut watches),
            cluster_templates: watch(client, &changed, &mut watches),
            changed,
        };
        (caches, Watches(watches))
    }

    /// Waits until every cache that snapshots need has been filled once.
    ///
    /// # Errors
    /// When a watch ended.
    pub async fn filled(&self) -> Result<(), WriterDropped> {
        for (_, filled, _) in self.needed() {
            filled.await?;
        }
        Ok(())
    }

    /// Waits until what snapshots can do without is seen, or is known not to be.
    pub async fn settled(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        while !self.unsettled().is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The kinds that it waits for.
    #[must_use]
    pub fn unsettled(&self) -> Vec<&'static str> {
        let unseen = [
            ("volumesnapshotclasses.snapshot.storage.k8s.io", self.classes.holding().is_unseen()),
            (ATTACHMENTS, self.attachments.holding().is_unseen()),
            ("deployments.apps", self.deployments.holding().is_unseen()),
            // It is filled by then; what is in doubt a moment longer would have nothing count as unchanged.
            (SANDBOXES, self.sandboxes.holding().is_unseen()),
            ("records of sandboxes and their templates", self.library().is_unseen()),
        ];
        unseen.into_iter().filter_map(|(kind, unseen)| unseen.then_some(kind)).collect()
    }

    fn library(&self) -> Library {
        Library {
            records: self.records.holding(),
            templates: self.templates.holding(),
            cluster_templates: self.cluster_templates.holding(),
        }
    }

    /// The kinds whose cache has not been filled yet, of those that snapshots need.
    #[must_use]
    pub fn unfilled(&self) -> Vec<&'static str> {
        let unfilled = self.needed().into_iter().filter_map(|(kind, filled, _)| {
            let filled = filled.now_or_never().is_some();
            (!filled).then_some(kind)
        });
        unfilled.collect()
    }

    /// The caches whose absences are not to be believed, and why: they have not been filled, or their watch fails.
    #[must_use]
    pub fn distrusted(&self) -> Vec<(&'static str, String)> {
        let now = Instant::now();
        let doubts = self.needed().into_iter().chain(self.helpful());
        doubts.filter_map(|(kind, _, following)| Some((kind, following.doubt(now)?))).collect()
    }

    /// Policies that exist and cannot be read.
    #[must_use]
    pub fn unreadable_policies(&self) -> Vec<String> {
        self.policies.following.unreadable()
    }

    /// Every cache that snapshots need: its kind, its being filled, and whether it is kept up to date.
    fn needed(&self) -> [Named<'_>; 6] {
        [
            self.claims.named("persistentvolumeclaims"),
            self.persistent_volumes.named("persistentvolumes"),
            self.sandboxes.named(SANDBOXES),
            self.snapshots.named("volumesnapshots.snapshot.storage.k8s.io"),
            self.policies.named("backuppolicies.backup.agenttier.io"),
            self.namespaces.named("namespaces"),
        ]
    }

    /// Those that snapshots can be taken without, and deletions cannot be made without.
    fn helpful(&self) -> [Named<'_>; 3] {
        [
            self.classes.named("volumesnapshotclasses.snapshot.storage.k8s.io"),
            self.attachments.named(ATTACHMENTS),
            self.deployments.named("deployments.apps"),
        ]
    }

    /// Waits until any object has changed since the last call returned.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What the caches hold now.
    #[must_use]
    pub fn observed(&self) -> Observed {
        Observed {
            claims: self.claims.store.state(),
            persistent_volumes: self.persistent_volumes.store.state(),
            sandboxes: self.sandboxes.store.state(),
            snapshots: self.snapshots.store.state(),
            policies: self.policies.store.state(),
            namespaces: self.namespaces.store.state(),
            classes: self.classes.once_filled(),
            attachments: self.attachments.once_filled(),
            deployments: self.deployments.store.state(),
            library: self.library(),
        }
    }
}

type Filled<'a> = BoxFuture<'a, Result<(), WriterDropped>>;

/// A cache's kind, its being filled, and whether it is kept up to date.
type Named<'a> = (&'static str, Filled<'a>, &'a Following);

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn named(&self, kind: &'static str) -> Named<'_> {
        (kind, Box::pin(self.store.wait_until_ready()), &self.following)
    }

    /// What it holds; `None` as long as it was never filled.
    fn once_filled(&self) -> Option<Vec<Arc<K>>> {
        matches!(self.store.wait_until_ready().now_or_never(), Some(Ok(()))).then(|| self.store.state())
    }

    /// What there is to say where nobody waits for the cache to be filled.
    fn holding(&self) -> Holding<K> {
        let trusted = self.following.doubt(Instant::now()).is_none();
        match self.store.wait_until_ready().now_or_never() {
            Some(Ok(())) if trusted => Holding::Seen(self.store.state()),
            _ if !trusted && self.refused.load(Ordering::Relaxed) => Holding::Refused,
            _ => Holding::Unseen,
        }
    }
}

fn watch<K>(client: &Client, changed: &Arc<Notify>, watches: &mut JoinSet<()>) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Trim + Default + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    watch_some(client, changed, watches, watch_config())
}

fn watch_some<K>(
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

/// Keeps account of what cannot be read.
fn note<K: Resource<DynamicType = ()>>(following: &Following, event: &watcher::Event<DeserializeGuard<K>>) {
    use watcher::Event;
    match event {
        Event::Init => following.lists(),
        Event::InitApply(object) if object.0.is_err() => following.listed_unreadable(name_of(object.meta())),
        Event::InitApply(_) => {}
        Event::InitDone => following.listed(),
        Event::Apply(object) => following.saw(name_of(object.meta()), object.0.is_ok()),
        Event::Delete(object) => following.saw(name_of(object.meta()), true),
    }
}

/// `namespace/name`, or `name` where there is no namespace.
fn name_of(meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    meta.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// An API server that comes back refuses everybody until it has read who may do what, and serves no CRD's kind before
/// it has read that: what lasts less long is no word to act upon.
const REFUSED_FOR: Duration = Duration::from_mins(1);

/// Since when a watch has heard nothing but refusals.
#[derive(Default)]
struct Refusal(Option<Instant>);

impl Refusal {
    /// Notes a failure; whether it has been refused for long enough to believe it.
    fn lasts(&mut self, refused: bool, now: Instant) -> bool {
        if !refused {
            self.0 = None;
            return false;
        }
        now.duration_since(*self.0.get_or_insert(now)) >= REFUSED_FOR
    }
}

/// Whether the API server says that there is no such kind, or no right to read it.
fn is_refusal(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    let (InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error)) = error else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if matches!(status.code, 403 | 404))
}

/// An object that cannot be read is as good as not there: it is named in the log, and stops nothing else.
fn readable<K>(event: watcher::Event<DeserializeGuard<K>>) -> Option<watcher::Event<K>>
where
    K: Resource<DynamicType = ()> + Default,
{
    use watcher::Event;
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(DeserializeGuard(Ok(object))) => Event::InitApply(object),
        Event::Apply(DeserializeGuard(Ok(object))) => Event::Apply(object),
        Event::Delete(DeserializeGuard(Ok(object))) => Event::Delete(object),
        Event::InitApply(DeserializeGuard(Err(unreadable))) => {
            report::<K>(&unreadable);
            return None;
        }
        // What was known of it before is no longer true.
        Event::Apply(DeserializeGuard(Err(unreadable))) => {
            report::<K>(&unreadable);
            Event::Delete(of_name(unreadable.metadata))
        }
        Event::Delete(DeserializeGuard(Err(unreadable))) => Event::Delete(of_name(unreadable.metadata)),
    })
}

fn of_name<K: Resource + Default>(metadata: ObjectMeta) -> K {
    let mut object = K::default();
    *object.meta_mut() = metadata;
    object
}

fn report<K: Resource<DynamicType = ()>>(unreadable: &InvalidObject) {
    let (kind, error) = (K::kind(&()), &unreadable.error);
    let namespace = unreadable.metadata.namespace.as_deref().unwrap_or_default();
    let name = unreadable.metadata.name.as_deref().unwrap_or_default();
    tracing::warn!(%kind, namespace, name, %error, "cannot be read; it is left out");
}

/// A watch that fails is tried again later and later, and complains once per cause.
#[derive(Default)]
struct Trouble {
    pauses: DefaultBackoff,
    last: Option<String>,
}

impl Trouble {
    async fn wait_out<K: Resource<DynamicType = ()>>(&mut self, error: String) {
        if self.last.as_ref() != Some(&error) {
            tracing::warn!(kind = %K::kind(&()), error, "cannot watch; trying again and again");
            self.last = Some(error);
        }
        tokio::time::sleep(self.pauses.next().unwrap_or(LONGEST_PAUSE)).await;
    }

    fn is_over(&mut self) {
        if self.last.take().is_some() {
            self.pauses.reset();
        }
    }
}

/// What the API server said, without the whole of its status around it.
fn cause(error: &watcher::Error) -> String {
    let source = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        other => return other.to_string(),
    };
    sentence(source)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guarded(spec: &serde_json::Value) -> DeserializeGuard<VolumeSnapshot> {
        let object = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": { "namespace": "n", "name": "s" },
            "spec": spec,
        });
        serde_json::from_value(object).expect("a guard takes everything that has metadata")
    }

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

    #[test]
    fn what_cannot_be_read_is_left_out_and_forgotten() {
        use watcher::Event;
        let good = || guarded(&json!({ "source": {} }));
        let bad = || guarded(&json!({ "source": 7 }));
        assert!(matches!(readable(Event::Apply(good())), Some(Event::Apply(_))));
        assert!(readable(Event::InitApply(bad())).is_none());
        let Some(Event::Delete(gone)) = readable(Event::Apply(bad())) else { panic!("what was known goes") };
        assert_eq!(
            (gone.metadata.namespace.as_deref(), gone.metadata.name.as_deref()),
            (Some("n"), Some("s"))
        );
        assert!(matches!(readable(Event::Delete(bad())), Some(Event::Delete(_))));
    }

    #[test]
    fn what_cannot_be_read_is_known_by_name() {
        use watcher::Event;
        let good = || guarded(&json!({ "source": {} }));
        let bad = || guarded(&json!({ "source": 7 }));
        let following = Following::new(Arc::default());
        let after = |event| {
            note(&following, &event);
            following.unreadable()
        };
        assert_eq!(after(Event::Apply(bad())), ["n/s"]);
        assert_eq!(after(Event::Apply(good())), [""; 0]);
        after(Event::Apply(bad()));
        assert_eq!(after(Event::Delete(bad())), [""; 0]);
        after(Event::Init);
        after(Event::InitApply(bad()));
        assert_eq!(after(Event::InitDone), ["n/s"]);
        after(Event::Init);
        after(Event::InitApply(good()));
        assert_eq!(after(Event::InitDone), [""; 0]);
    }
}
