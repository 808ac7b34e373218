//! Chance that can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{RngAlgorithm, TestRng};

/// A number from the environment.
pub(crate) fn asked_for(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// `SEED`, or another one each time.
pub(crate) fn seed() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    asked_for("SEED").unwrap_or(since_1970.as_secs())
}

/// The same numbers for the same seed.
pub(crate) fn random(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}
