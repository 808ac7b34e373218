//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Result, anyhow};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
        loop {
            if let Some(found) = check().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // Around it all, since a single look may hang as well.
    let waited = || anyhow!("waited {} s in vain for {what}", limit.as_secs());
    tokio::time::timeout(limit, looking).await.map_err(|_| waited())?
}
