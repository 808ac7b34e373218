//! What a cluster consists of, and where it comes from.

use std::sync::LazyLock;

/// The go.mod that pins every component but helm: the one source of versions.
const CLUSTER_MODULE: &str = include_str!("../go/cluster/go.mod");
const HELM_MODULE: &str = include_str!("../go/helm/go.mod");

/// A component that others publish.
#[derive(Debug)]
pub(crate) struct Component {
    /// The name of its binary.
    pub(crate) name: &'static str,
    /// The Go package of its main function.
    pub(crate) package: &'static str,
    /// The Go module whose version is its version.
    pub(crate) module: &'static str,
    /// Which installed ones do as well.
    pub(crate) fit: Fit,
}

/// When a component that is already installed is used instead of built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Same major and minor version: flags, APIs and stages belong together.
    Minor,
    /// Same major version: the interface that is used is a settled one.
    Major,
}

pub(crate) const SNAPSHOT_CRDS_MODULE: &str = "github.com/kubernetes-csi/external-snapshotter/client/v8";
pub(crate) const KWOK_MODULE: &str = "sigs.k8s.io/kwok";

/// All of the module go/cluster.
pub(crate) const CLUSTER: &[Component] = &[
    Component {
        name: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        module: "go.etcd.io/etcd/server/v3",
        fit: Fit::Minor,
    },
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Component {
        name: "snapshot-controller",
        package: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
        module: "github.com/kubernetes-csi/external-snapshotter/v8",
        fit: Fit::Major,
    },
    Component {
        name: "csi-snapshotter",
        package: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
        module: "github.com/kubernetes-csi/external-snapshotter/v8",
        fit: Fit::Major,
    },
    Component {
        name: "csi-provisioner",
        package: "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner",
        module: "github.com/kubernetes-csi/external-provisioner/v6",
        fit: Fit::Major,
    },
    Component { name: "kwok", package: "sigs.k8s.io/kwok/cmd/kwok", module: KWOK_MODULE, fit: Fit::Minor },
];

/// The module go/helm.
pub(crate) const HELM: Component = Component {
    name: "helm",
    package: "helm.sh/helm/v3/cmd/helm",
    module: "helm.sh/helm/v3",
    fit: Fit::Major,
};

const fn kubernetes(name: &'static str, package: &'static str) -> Component {
    Component { name, package, module: "k8s.io/kubernetes", fit: Fit::Minor }
}

/// Major, minor and patch version.
pub(crate) type Version = [u64; 3];

impl Component {
    /// The version that is pinned.
    pub(crate) fn version(&self) -> Version {
        let go_mod = if self.name == HELM.name { HELM_MODULE } else { CLUSTER_MODULE };
        pinned(go_mod, self.module).expect("every component's module is required by its go.mod")
    }

    /// Whether what answered `--version` with `answer` can stand in.
    pub(crate) fn fits(&self, answer: &str) -> bool {
        let wanted = self.version();
        first_version(answer).is_some_and(|found| match self.fit {
            Fit::Minor => found[..2] == wanted[..2],
            Fit::Major => found[0] == wanted[0],
        })
    }
}

/// The linker flags of the cluster's components. Without the version a
/// Kubernetes component calls itself v0.0.0, which clients take for too old.
pub(crate) static CLUSTER_LDFLAGS: LazyLock<String> = LazyLock::new(|| {
    let [major, minor, patch] = CLUSTER[1].version();
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion=v{major}.{minor}.{patch} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
});

/// The linker flags of everything else.
pub(crate) const PLAIN_LDFLAGS: &str = "-s -w";

/// The version that a go.mod requires of a module.
fn pinned(go_mod: &str, module: &str) -> Option<Version> {
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.find(|word| *word != "require")? == module).then(|| first_version(words.next()?)).flatten()
    })
}

/// The first `1.2` or `1.2.3` in a text.
fn first_version(text: &str) -> Option<Version> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let parts = word.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        match parts[..] {
            [major, minor] => Some([major, minor, 0]),
            [major, minor, patch] => Some([major, minor, patch]),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_a_pinned_version() {
        for component in CLUSTER.iter().chain([&HELM]) {
            assert!(component.version()[0] > 0 || component.name == "kwok", "{component:?}");
        }
    }

    #[test]
    fn versions_are_found_in_what_components_say() {
        assert_eq!(first_version("Kubernetes v1.37.2\n"), Some([1, 37, 2]));
        assert_eq!(first_version("kwok version v0.8.0 go1.26.8 (linux/amd64)"), Some([0, 8, 0]));
        assert_eq!(first_version("etcd Version: 3.7.2\nGit SHA: x"), Some([3, 7, 2]));
        assert_eq!(first_version("v3.22"), Some([3, 22, 0]));
        assert_eq!(first_version("/usr/bin/csi-snapshotter unknown"), None);
    }

    #[test]
    fn an_older_minor_version_does_not_stand_in() {
        let [major, minor, patch] = CLUSTER[1].version();
        assert!(CLUSTER[1].fits(&format!("Kubernetes v{major}.{minor}.{}", patch + 1)));
        assert!(!CLUSTER[1].fits(&format!("Kubernetes v{major}.{}.{patch}", minor - 1)));
        assert!(!HELM.fits("v4.0.1"));
    }
}
