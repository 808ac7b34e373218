//! Waiting for a backup.

use std::time::Duration;

use kube::Client;
use tokio::time::Instant;

use super::error::BackupError;
use super::made::Made;
use super::standing::Standing;
use crate::api_error::{is_passing, sentence};
use crate::server_clock::ServerClock;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is told while somebody waits.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Where it is, when that changes.
    At(&'a str),
    /// The API server cannot be asked for the moment.
    Trouble(&'a str),
}

/// Waits until a backup has ended, and says how: only one that is whole is no error. To give up, drop this: the backup goes
/// on.
///
/// # Errors
/// When it has not ended well, is gone, cannot be looked at, or `limit` has passed.
pub async fn wait(
    client: &Client,
    clock: &ServerClock,
    made: &Made,
    limit: Duration,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<String, BackupError> {
    let begun = Instant::now();
    let mut last = String::new();
    loop {
        match made.standing(client, clock.now()).await {
            Ok(Standing::Good(state)) => return Ok(state),
            Ok(Standing::Bad { state, why }) => {
                return Err(BackupError::Ended { what: made.what(), state, why });
            }
            Ok(Standing::Gone) => return Err(BackupError::Gone { what: made.what() }),
            Ok(Standing::UnderWay(state)) => {
                if state != last {
                    tell(Progress::At(&state));
                    last = state;
                }
            }
            Err(error) if is_passing(&error) => tell(Progress::Trouble(&sentence(&error))),
            Err(error) => {
                let hint = format!("; it goes on: {}", made.look().join(", or "));
                return Err(BackupError::Api {
                    doing: format!("look at {}", made.what()),
                    said: sentence(&error),
                    hint,
                });
            }
        }
        if begun.elapsed() >= limit {
            let look = made.look().join(", or ");
            return Err(BackupError::TimedOut { what: made.what(), state: last, after: limit, look });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
