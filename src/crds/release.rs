//! Which of two releases a definition is of.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use semver::Version;

use crate::api::RELEASE_LABEL;

/// How a cluster's definition stands to the one of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Of that release, or of an earlier one; `None` for one from before definitions said it.
    NotNewer(Option<String>),
    /// Of a later release.
    Newer(String),
    /// It says something that is no version.
    Unreadable(String),
}

/// How `found` stands to the definitions of `release`. Between versions, semantic versioning decides.
#[must_use]
pub fn standing(found: &CustomResourceDefinition, release: &Version) -> Standing {
    let Some(label) = found.labels().get(RELEASE_LABEL).cloned() else { return Standing::NotNewer(None) };
    match label.parse::<Version>() {
        Ok(theirs) if theirs > *release => Standing::Newer(label),
        Ok(_) => Standing::NotNewer(Some(label)),
        Err(_) => Standing::Unreadable(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RELEASE, crds};

    fn of(label: Option<&str>) -> CustomResourceDefinition {
        let mut crd = crds().remove(0);
        crd.labels_mut().remove(RELEASE_LABEL);
        crd.labels_mut().extend(label.map(|label| (RELEASE_LABEL.to_owned(), label.to_owned())));
        crd
    }

    #[test]
    fn versions_are_compared_as_versions() {
        let ours = "0.10.0".parse().expect("a version");
        for label in [None, Some("0.9.9"), Some("0.10.0"), Some("0.10.0-rc.1")] {
            assert_eq!(standing(&of(label), &ours), Standing::NotNewer(label.map(Into::into)), "{label:?}");
        }
        for label in ["0.10.1", "0.11.0-rc.1", "1.0.0"] {
            assert_eq!(standing(&of(Some(label)), &ours), Standing::Newer(label.into()));
        }
        for label in ["", "latest", "1.0"] {
            assert_eq!(standing(&of(Some(label)), &ours), Standing::Unreadable(label.into()));
        }
    }

    #[test]
    fn every_definition_says_a_release_that_can_be_compared() {
        let ours = RELEASE.parse().expect("a version");
        for crd in crds() {
            assert_eq!(standing(&crd, &ours), Standing::NotNewer(Some(RELEASE.into())));
        }
    }
}
