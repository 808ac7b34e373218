//! Where Velero is, for commands that look at it.

use clap::Args;

use crate::schedules::{Said, cluster_name};

/// By flags alone: `CLUSTER_NAME` and `VELERO_NAMESPACE` of a person's shell are meant for other tools.
#[derive(Debug, Args)]
pub(super) struct VeleroOptions {
    /// The namespace of Velero's server [default: the one that the controller's Deployment names, or velero]
    #[arg(long, value_name = "NAMESPACE")]
    velero_namespace: Option<String>,
    /// What this cluster is called among those whose Velero shares a store [default: as the controller's Deployment or its
    /// Schedules say]
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    cluster_name: Option<String>,
}

impl VeleroOptions {
    pub(super) fn said(&self) -> Said {
        Said { namespace: self.velero_namespace.clone(), cluster_name: self.cluster_name.clone() }
    }
}
