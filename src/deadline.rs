//! How long a call may take.

use std::time::Duration;

/// A call that got no answer after this long has failed; it may still have been carried out.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(30);
