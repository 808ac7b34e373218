//! A watch that fails.

use std::time::Duration;

use kube::Resource;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher;
use kube::runtime::watcher::DefaultBackoff;

use crate::api_error::sentence;

/// The longest that a failing watch pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A watch that fails is tried again later and later, and complains once per cause.
#[derive(Default)]
pub(super) struct Trouble {
    pauses: DefaultBackoff,
    last: Option<String>,
}

impl Trouble {
    pub(super) async fn wait_out<K: Resource<DynamicType = ()>>(&mut self, error: String) {
        if self.last.as_ref() != Some(&error) {
            tracing::warn!(kind = %K::kind(&()), error, "cannot watch; trying again and again");
            self.last = Some(error);
        }
        tokio::time::sleep(self.pauses.next().unwrap_or(LONGEST_PAUSE)).await;
    }

    pub(super) fn is_over(&mut self) {
        if self.last.take().is_some() {
            self.pauses.reset();
        }
    }
}

/// What the API server said, without the whole of its status around it.
pub(super) fn cause(error: &watcher::Error) -> String {
    let source = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        other => return other.to_string(),
    };
    sentence(source)
}
