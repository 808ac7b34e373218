//! The running double: its tasks, their start and their end.

use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::DynamicObject,
    runtime::{
        Controller,
        controller::{Action, Error},
        watcher,
    },
};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
};

use crate::{
    backup_loop::BackupLoop,
    reconcile::{Failure, Reconciler},
    sandbox::sandboxes,
    warm_pool::{Pool, WarmPool},
};

/// Before a failed reconcile is tried again; a conflict is the usual reason.
const RETRY: Duration = Duration::from_millis(100);

/// How long what is under way may take to finish.
const LAST_STEPS: Duration = Duration::from_mins(10);

/// Ready once the double is told to stop.
pub(crate) type End = Shared<BoxFuture<'static, ()>>;

/// How AgentTier is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// None: every namespace, as AgentTier does. Some: this one alone, so that several doubles share a cluster.
    pub namespace: Option<String>,
    /// None: no pool, every start is a cold one.
    pub warm_pool: Option<WarmPool>,
    /// AgentTier's own scheduled backups. None: off, its default.
    pub backup_loop: Option<BackupLoop>,
    /// The unit of the wait before a lost pod is built anew: twice this after the first loss, then doubling, sixteen
    /// times at most. AgentTier: 10 s. It counts from the lost pod's start.
    pub restart_backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { namespace: None, warm_pool: None, backup_loop: None, restart_backoff: Duration::from_secs(10) }
    }
}

/// A running double. Dropping it ends its tasks at once, wherever they are, as a kill would.
#[must_use = "dropping it stops the double"]
pub struct Double {
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

impl Double {
    /// Starts to reconcile. The CRDs must be there ([`crate::install_crds`]); call it inside a tokio runtime.
    pub fn start(client: Client, options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        let end: End = stopped.map(drop).boxed().shared();
        let pool = options.warm_pool.map(|settings| Arc::new(Pool::new(client.clone(), settings)));
        let mut tasks = JoinSet::new();
        if let Some(pool) = pool.clone() {
            let end = end.clone();
            tasks.spawn(async move { pool.keep_filled(end).await });
        }
        if let Some(backup_loop) = options.backup_loop {
            tasks.spawn(backup_loop.run(client.clone(), end.clone()));
        }
        let reconciler = Arc::new(Reconciler::new(client.clone(), pool, options.restart_backoff));
        tasks.spawn(reconcile_all(client, options.namespace, reconciler, end));
        Self { stop, tasks }
    }

    /// Lets what is under way finish, then stops.
    ///
    /// # Panics
    /// If a task of the double panicked, or does not finish within ten minutes.
    pub async fn shutdown(self) {
        let Self { stop, mut tasks } = self;
        // Refused if all tasks are over already, which is what we want.
        let _ = stop.send(());
        let ended = tokio::time::timeout(LAST_STEPS, async {
            while let Some(task) = tasks.join_next().await {
                if let Err(panic) = task.map_err(JoinError::into_panic) {
                    std::panic::resume_unwind(panic);
                }
            }
        });
        ended.await.expect("what is under way finishes");
    }
}

async fn reconcile_all(client: Client, namespace: Option<String>, reconciler: Arc<Reconciler>, end: End) {
    let kind = sandboxes();
    let (sandboxes, pods): (Api<DynamicObject>, Api<Pod>) = match &namespace {
        Some(namespace) => {
            (Api::namespaced_with(client.clone(), namespace, &kind), Api::namespaced(client, namespace))
        }
        None => (Api::all_with(client.clone(), &kind), Api::all(client)),
    };
    let controller = Controller::new_with(sandboxes, watcher::Config::default(), kind)
        .owns(pods, watcher::Config::default());
    let seen = controller.store();
    // A `Controller` that ends before it has seen what is there waits for that, and looks no more. It has begun nothing.
    let too_early = end.clone().then(|()| async move {
        if seen.wait_until_ready().now_or_never().is_some() {
            std::future::pending::<()>().await;
        }
    });
    controller
        .graceful_shutdown_on(end)
        .run(
            |sandbox, reconciler| async move { Box::pin(reconciler.reconcile(&sandbox)).await },
            |_, failure: &Failure, _| {
                tracing::debug!(%failure, "reconcile failed");
                Action::requeue(RETRY)
            },
            reconciler,
        )
        .take_until(too_early)
        .for_each(|outcome| async {
            match outcome {
                // A Sandbox that is gone from the store, or a failure that was told of already.
                Ok(_) | Err(Error::ObjectNotFound(_) | Error::ReconcilerFailed(..)) => {}
                Err(error) => tracing::warn!(%error, "watching Sandboxes"),
            }
        })
        .await;
}
