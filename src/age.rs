//! Ages, as people read them.

use jiff::{SignedDuration, Timestamp};

/// An age as kubectl writes it: `42s`, `17m`, `5h`, `3d`.
#[must_use]
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    span(now.duration_since(then))
}

/// A length of time in its largest unit that gives at least two of it.
#[must_use]
pub(crate) fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in
            [(-5, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (200_000, "2d")]
        {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }
}
