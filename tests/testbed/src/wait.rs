//! Waiting for a condition, never for a time.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Result, anyhow};

/// A condition is looked at again after this, and after longer and longer pauses up to this: what takes long is not
/// hurried by asking.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

/// Looks until `check` gives a value. Where a busy API server puts it off, or a connection is lost, it looks again.
///
/// # Errors
/// Any other error of `check`'s at once; after `limit`, one that names `what`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let mut put_off = None;
    let looking = async {
        let (mut pause, longest) = PAUSES;
        loop {
            match check().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => put_off = None,
                Err(error) if is_passing(&error) => put_off = Some(error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(longest);
        }
    };
    // Around it all, since a single look may hang as well.
    if let Ok(outcome) = tokio::time::timeout(limit, looking).await {
        return outcome;
    }
    let waited = format!("waited {} s in vain for {what}", limit.as_secs());
    Err(match put_off {
        Some(error) => error.context(waited),
        None => anyhow!(waited),
    })
}

/// Whether it may be another answer the next time: the API server was busy, or etcd behind it, or the connection was lost.
fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        match (cause.downcast_ref::<kube::Error>(), cause.downcast_ref::<std::io::Error>()) {
            (Some(kube::Error::Api(status)), _) => status.code == 429 || status.code >= 500,
            (Some(kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_)), _) => {
                true
            }
            (_, Some(error)) => matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
            ),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_lost_connection_is_looked_past_and_no_other_error() {
        let mut looks = 0;
        let found = until("the second look", LIMIT, || {
            looks += 1;
            let outcome = match looks {
                1 => Err(anyhow::Error::from(std::io::Error::from(ErrorKind::ConnectionReset))),
                look => Ok(Some(look)),
            };
            std::future::ready(outcome.context("look"))
        });
        assert_eq!(found.await.expect("it looks again"), 2);
        let failed: Result<()> = until("nothing", LIMIT, || async { Err(anyhow!("for good")) }).await;
        assert_eq!(failed.expect_err("it has failed").to_string(), "for good");
    }
}
