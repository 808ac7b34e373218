//! Which cluster this is, among those that share a store.

use agenttier_backup_plan::schedules::LONGEST_CLUSTER;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;

/// The namespace that lives as long as its cluster.
pub(super) const LASTING: &str = "kube-system";

/// This cluster, as Schedules and backups name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// What Schedules and backups are prefixed with.
    pub name: String,
    /// What no other cluster has, whatever it is called: the UID of its namespace kube-system.
    pub uid: String,
}

impl ClusterIdentity {
    /// Finds it, given the name that an operator has chosen. Without one it is `k-` and the head of the UID: two clusters
    /// that share a store must not be called the same.
    #[must_use]
    pub fn find<'a>(
        chosen: Option<&str>,
        namespaces: impl IntoIterator<Item = &'a Namespace>,
    ) -> Option<Self> {
        let lasting = namespaces.into_iter().find(|namespace| namespace.name_any() == LASTING)?;
        Some(Self::named(chosen, lasting.uid()?))
    }

    pub(super) fn named(chosen: Option<&str>, uid: String) -> Self {
        let head = uid.split('-').next().unwrap_or_default();
        let name = chosen.map_or_else(|| format!("k-{head}"), str::to_owned);
        Self { name, uid }
    }
}

/// Checks a name that an operator has chosen for the cluster.
///
/// # Errors
/// Says what a name has to be like.
pub fn cluster_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = text.len() <= LONGEST_CLUSTER
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(fits);
    if is_name {
        return Ok(text.to_owned());
    }
    Err(format!(
        "the name of a cluster has at most {LONGEST_CLUSTER} characters out of a-z, 0-9 and dashes, begins with a letter and \
         does not end in a dash"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, uid: &str) -> Namespace {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        namespace.metadata.uid = Some(uid.into());
        namespace
    }

    #[test]
    fn a_cluster_without_a_name_is_called_by_what_no_other_has() {
        let namespaces = [namespace("default", "0000-1"), namespace("kube-system", "1234abcd-5678-90ab")];
        let found = |chosen| ClusterIdentity::find(chosen, &namespaces).expect("kube-system is there");
        assert_eq!(found(None).name, "k-1234abcd");
        assert_eq!(found(Some("east")).name, "east");
        assert_eq!(found(Some("east")).uid, "1234abcd-5678-90ab");
        assert_eq!(ClusterIdentity::find(None, &namespaces[..1]), None);
    }

    #[test]
    fn a_name_is_to_be_a_label() {
        for good in ["east", "e1", "prod-eu-west-1"] {
            assert_eq!(cluster_name(good), Ok(good.to_owned()));
        }
        for bad in ["", "East", "1st", "east-", "a.b", "ä", &"e".repeat(31)] {
            assert!(cluster_name(bad).is_err(), "{bad}");
        }
    }
}
