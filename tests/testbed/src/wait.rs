//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Result, anyhow};

/// A condition is looked at again after this, and after longer and longer pauses up to this: what takes long is not
/// hurried by asking.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));

/// Looks until `check` gives a value.
///
/// # Errors
/// `check`'s own error at once; after `limit`, one that names `what`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let looking = async {
        let (mut pause, longest) = PAUSES;
        loop {
            if let Some(found) = check().await? {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(longest);
        }
    };
    // Around it all, since a single look may hang as well.
    let waited = || anyhow!("waited {} s in vain for {what}", limit.as_secs());
    tokio::time::timeout(limit, looking).await.map_err(|_| waited())?
}
