//! One cluster for all tests that disturb nobody outside their namespace.

use testbed::progress::Console;
use testbed::{Cluster, Testbed};
use tokio::sync::OnceCell;

use crate::objects::create_namespace;

pub(crate) async fn testbed() -> Testbed {
    Testbed::prepare(&Console::default()).await.unwrap()
}

/// The shared cluster, and a namespace in it of the test's own. It goes with
/// the process: nothing drops it, and the supervisor sees to that.
pub(crate) async fn shared_cluster(namespace: &str) -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async { testbed().await.cluster("shared").nodes(1).start().await.unwrap() };
    let cluster = CLUSTER.get_or_init(start).await;
    create_namespace(cluster, namespace).await;
    cluster
}
