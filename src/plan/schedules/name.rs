//! Names of Schedules.

use crate::name::{LONGEST_NAME, shortened};

/// The longest name of a cluster: enough of a namespace's name is to stay readable beside it.
pub const LONGEST_CLUSTER: usize = 30;

/// `<cluster>-<namespace>`.
///
/// Backups are named after their Schedule, and Velero tells backups of several clusters in one store apart by name
/// alone: hence the cluster. Velero puts a Schedule's name into a label without cutting it, so that it has at most 63
/// characters; one that does not fit is cut and given eight hex digits of its hash.
///
/// A name holds at most one dash in a row from each part, so `a` with `b-c` and `a-b` with `c` come out the same: whose
/// a Schedule is, its labels say.
#[must_use]
pub fn name(cluster: &str, namespace: &str) -> String {
    shortened(&format!("{cluster}-{namespace}"), LONGEST_NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_namespace_of_63_characters_fits() {
        assert_eq!(name("east", "team-a"), "east-team-a");
        let long = "n".repeat(63);
        let shortened = name("east", &long);
        assert_eq!(shortened.len(), LONGEST_NAME);
        assert!(shortened.starts_with("east-nnn"), "{shortened}");
    }

    proptest! {
        #[test]
        fn names_fit_and_differ_within_a_cluster(
            cluster in "[a-z]([a-z0-9-]{0,28}[a-z0-9])?",
            one in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
            other in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
        ) {
            let named = name(&cluster, &one);
            prop_assert!(named.len() <= LONGEST_NAME && !named.ends_with('-'), "{}", named);
            prop_assert_eq!(named == name(&cluster, &other), one == other);
        }
    }
}
