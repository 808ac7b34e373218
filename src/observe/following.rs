//! Whether a cache is kept up to date: its absences can be believed only then.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Request;
use kube::Client;
use kube::client::Body;
use tokio::sync::Notify;

/// Watches are ended and begun again every few minutes: for so long that is nothing.
const BLINK: Duration = Duration::from_secs(5);

/// What a cache knows of itself. Clones share it.
///
/// A watch that is silent tells nothing of its health, so its requests are looked at on their way: a cache follows
/// its kind from the moment that the API server takes its watch until the watch fails, or has to be asked for again
/// and that takes long.
#[derive(Clone)]
pub(super) struct Following {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

struct Inner {
    sight: Sight,
    /// Objects that exist and cannot be read, as `namespace/name` or `name`.
    unreadable: BTreeSet<String>,
    /// Those of a list that is not complete yet.
    listed: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sight {
    /// The watch is open.
    Open,
    /// The watch was open, and is asked for again.
    Asked { since: Instant },
    /// There is none.
    Lost { cause: String },
}

impl Following {
    /// Of a cache that has seen nothing yet. `changed` is told when it comes to follow, or does no longer.
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        let sight = Sight::Lost { cause: "it has not been listed yet".to_owned() };
        let inner = Inner { sight, unreadable: BTreeSet::new(), listed: BTreeSet::new() };
        Self { inner: Arc::new(Mutex::new(inner)), changed }
    }

    /// A client whose lists and watches are looked at.
    pub(super) fn client(&self, client: &Client) -> Client {
        let (inner, following) = (client.clone(), self.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, following) = (inner.clone(), following.clone());
            async move {
                let is_watch = request.uri().query().is_some_and(is_watch);
                following.asks(Instant::now());
                let answer = client.send(request).await?;
                if is_watch && answer.status().is_success() {
                    following.follows();
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(service, client.default_namespace())
    }

    /// Why absences are not to be believed; `None` while they are.
    pub(super) fn doubt(&self, now: Instant) -> Option<String> {
        match &self.inner().sight {
            Sight::Open => None,
            Sight::Asked { since } if now.saturating_duration_since(*since) < BLINK => None,
            Sight::Asked { .. } => Some("the API server is slow to take the watch".to_owned()),
            Sight::Lost { cause } => Some(cause.clone()),
        }
    }

    /// The watch, or the list before it, failed.
    pub(super) fn fails(&self, cause: String) {
        let lost = Sight::Lost { cause };
        let mut inner = self.inner();
        if inner.sight != lost {
            inner.sight = lost;
            self.changed.notify_one();
        }
    }

    fn asks(&self, now: Instant) {
        let mut inner = self.inner();
        if inner.sight == Sight::Open {
            inner.sight = Sight::Asked { since: now };
        }
    }

    fn follows(&self) {
        let mut inner = self.inner();
        let was = std::mem::replace(&mut inner.sight, Sight::Open);
        if was != Sight::Open {
            self.changed.notify_one();
        }
    }

    /// What exists and cannot be read.
    pub(super) fn unreadable(&self) -> Vec<String> {
        self.inner().unreadable.iter().cloned().collect()
    }

    /// An object was seen, after the list.
    pub(super) fn saw(&self, name: String, readable: bool) {
        let unreadable = &mut self.inner().unreadable;
        if readable {
            unreadable.remove(&name);
        } else {
            unreadable.insert(name);
        }
    }

    /// A list begins.
    pub(super) fn lists(&self) {
        self.inner().listed.clear();
    }

    /// A list holds an object that cannot be read.
    pub(super) fn listed_unreadable(&self, name: String) {
        self.inner().listed.insert(name);
    }

    /// The list is complete: what it does not hold is not there.
    pub(super) fn listed(&self) {
        let mut inner = self.inner();
        inner.unreadable = std::mem::take(&mut inner.listed);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|parameter| parameter == "watch=true")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn following() -> (Following, Arc<Notify>) {
        let changed = Arc::new(Notify::new());
        (Following::new(changed.clone()), changed)
    }

    fn told(changed: &Notify) -> bool {
        changed.notified().now_or_never().is_some()
    }

    #[test]
    fn absences_are_believed_only_while_a_watch_is_open() {
        let (following, changed) = following();
        let now = Instant::now();
        following.asks(now);
        assert_eq!(following.doubt(now), Some("it has not been listed yet".to_owned()));
        following.follows();
        assert_eq!((following.doubt(now), told(&changed)), (None, true));

        following.fails("forbidden".to_owned());
        assert_eq!((following.doubt(now), told(&changed)), (Some("forbidden".to_owned()), true));
        following.fails("forbidden".to_owned());
        assert!(!told(&changed), "nothing has changed");
        following.asks(now);
        assert_eq!(following.doubt(now), Some("forbidden".to_owned()), "asking for it is not having it");
        following.follows();
        assert_eq!((following.doubt(now), told(&changed)), (None, true));
    }

    #[test]
    fn a_watch_that_is_asked_for_again_is_believed_for_a_moment() {
        let (following, _) = following();
        let now = Instant::now();
        following.follows();
        following.asks(now);
        assert_eq!(following.doubt(now), None);
        following.asks(now + BLINK);
        assert!(following.doubt(now + BLINK).is_some(), "counted from the first time");
        following.follows();
        assert_eq!(following.doubt(now + BLINK), None);
    }

    #[test]
    fn what_cannot_be_read_is_known_until_it_is_gone_or_can_be() {
        let (following, _) = following();
        for name in ["a", "b", "c"] {
            following.saw(name.to_owned(), false);
        }
        following.saw("a".to_owned(), true);
        assert_eq!(following.unreadable(), ["b", "c"]);
        following.lists();
        following.listed_unreadable("c".to_owned());
        assert_eq!(following.unreadable(), ["b", "c"], "half a list proves nothing");
        following.listed();
        assert_eq!(following.unreadable(), ["c"]);
    }

    #[test]
    fn a_watch_is_told_from_a_list() {
        assert!(is_watch("&watch=true&timeoutSeconds=290&allowWatchBookmarks=true&resourceVersion=7"));
        assert!(!is_watch("&limit=500&resourceVersion=0"));
    }
}
