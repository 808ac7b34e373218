//! The one stable hash: what it gives today it gives in every later release.

use sha2::{Digest, Sha256};

/// The first eight bytes of SHA-256, as a number.
pub(crate) fn stable_hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Eight lower-case hex digits of [`stable_hash`], for shortened names.
pub(crate) fn short_hash(text: &str) -> String {
    format!("{:08x}", stable_hash(text) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published vectors of SHA-256: a change here would move every slot and rename every long snapshot.
    #[test]
    fn is_the_head_of_sha_256() {
        assert_eq!(stable_hash(""), 0xe3b0_c442_98fc_1c14);
        assert_eq!(stable_hash("abc"), 0xba78_16bf_8f01_cfea);
        assert_eq!(short_hash("abc"), "ba7816bf");
    }
}
