//! What a cluster consists of, and where it comes from.

use std::sync::LazyLock;

/// A folder under go/. Its go.mod is the one source of the versions of what is
/// built there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pins {
    Cluster,
    Helm,
    Velero,
    VeleroPlugin,
    Rclone,
}

impl Pins {
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Helm => "helm",
            Self::Velero => "velero",
            Self::VeleroPlugin => "velero-plugin",
            Self::Rclone => "rclone",
        }
    }

    fn go_mod(self) -> &'static str {
        match self {
            Self::Cluster => include_str!("../go/cluster/go.mod"),
            Self::Helm => include_str!("../go/helm/go.mod"),
            Self::Velero => include_str!("../go/velero/go.mod"),
            Self::VeleroPlugin => include_str!("../go/velero-plugin/go.mod"),
            Self::Rclone => include_str!("../go/rclone/go.mod"),
        }
    }
}

/// A component that others publish.
#[derive(Debug)]
pub(crate) struct Component {
    /// The name of its binary.
    pub(crate) name: &'static str,
    /// The Go package of its main function.
    pub(crate) package: &'static str,
    /// The Go module whose version is its version.
    pub(crate) module: &'static str,
    /// Which of our go.mods pins that.
    pub(crate) pins: Pins,
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
    /// Never: it has to be built with our linker flags.
    None,
}

pub(crate) const SNAPSHOT_CRDS_MODULE: &str = "github.com/kubernetes-csi/external-snapshotter/client/v8";
pub(crate) const KWOK_MODULE: &str = "sigs.k8s.io/kwok";

/// What is published of go/cluster.
pub(crate) const CLUSTER: &[Component] = &[
    Component {
        name: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        module: "go.etcd.io/etcd/server/v3",
        pins: Pins::Cluster,
        fit: Fit::Minor,
    },
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Component {
        name: "snapshot-controller",
        package: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
        module: "github.com/kubernetes-csi/external-snapshotter/v8",
        pins: Pins::Cluster,
        fit: Fit::Major,
    },
    Component {
        name: "csi-snapshotter",
        package: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
        module: "github.com/kubernetes-csi/external-snapshotter/v8",
        pins: Pins::Cluster,
        fit: Fit::Major,
    },
    Component {
        name: "csi-provisioner",
        package: "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner",
        module: "github.com/kubernetes-csi/external-provisioner/v6",
        pins: Pins::Cluster,
        fit: Fit::Major,
    },
    Component {
        name: "kwok",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        module: KWOK_MODULE,
        pins: Pins::Cluster,
        fit: Fit::Minor,
    },
];

pub(crate) const HELM: Component = Component {
    name: "helm",
    package: "helm.sh/helm/v3/cmd/helm",
    module: "helm.sh/helm/v3",
    pins: Pins::Helm,
    fit: Fit::Major,
};

pub(crate) const VELERO: Component = Component {
    name: "velero",
    package: "github.com/vmware-tanzu/velero/cmd/velero",
    module: "github.com/vmware-tanzu/velero",
    pins: Pins::Velero,
    fit: Fit::None,
};

/// Velero's way to S3.
pub(crate) const VELERO_PLUGIN: Component = Component {
    name: "velero-plugin-for-aws",
    package: "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws",
    module: "github.com/vmware-tanzu/velero-plugin-for-aws",
    pins: Pins::VeleroPlugin,
    fit: Fit::None,
};

/// What copies files to S3 and back. Its main function is ours: the whole of it
/// takes many times as long to build.
pub(crate) const RCLONE: Component = Component {
    name: "rclone",
    package: "backup.agenttier.io/testbed/rclone",
    module: "github.com/rclone/rclone",
    pins: Pins::Rclone,
    fit: Fit::None,
};

const fn kubernetes(name: &'static str, package: &'static str) -> Component {
    Component { name, package, module: "k8s.io/kubernetes", pins: Pins::Cluster, fit: Fit::Minor }
}

/// Major, minor and patch version.
pub(crate) type Version = [u64; 3];

impl Component {
    /// The version that is pinned.
    pub(crate) fn version(&self) -> Version {
        pinned(self.pins.go_mod(), self.module).expect("every component's module is required by its go.mod")
    }

    /// Whether what answered `--version` with `answer` can stand in.
    pub(crate) fn fits(&self, answer: &str) -> bool {
        let wanted = self.version();
        first_version(answer).is_some_and(|found| match self.fit {
            Fit::Minor => found[..2] == wanted[..2],
            Fit::Major => found[0] == wanted[0],
            Fit::None => false,
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

/// The linker flags of Velero's server. The metrics of its controllers are not
/// served: their port cannot be told otherwise, and two servers would quarrel
/// about it.
pub(crate) static VELERO_LDFLAGS: LazyLock<String> = LazyLock::new(|| {
    let [major, minor, patch] = VELERO.version();
    format!(
        "-s -w -X github.com/vmware-tanzu/velero/pkg/buildinfo.Version=v{major}.{minor}.{patch} \
         -X sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress=0"
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
        for component in CLUSTER.iter().chain([&HELM, &VELERO, &VELERO_PLUGIN, &RCLONE]) {
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
