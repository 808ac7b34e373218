//! One step of one Sandbox, carried out against the API server.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{PersistentVolumeClaim, Pod, Secret, ServiceAccount},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Client, Resource, ResourceExt,
    api::{Api, DeleteParams, DynamicObject, PostParams},
    runtime::controller::Action,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    children,
    decision::{ColdStart, Pool as PoolView, Step, TemplateOutcome, World, decide},
    pod_state::PodState,
    sandbox::{ACTION, FINALIZER, Phase, Sandbox, kubernetes_time, sandboxes},
    template::{Template, Unresolved, resolve},
    warm_pool::Pool,
};

/// While a pod starts; its watch usually comes first.
const POD_POLL: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A reconcile that has to be tried again. Conflicts are daily bread.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("unreadable Sandbox: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Carries out what [`decide`] says.
pub(crate) struct Reconciler {
    client: Client,
    pool: Option<Arc<Pool>>,
    restart_backoff: SignedDuration,
}

impl Reconciler {
    pub(crate) fn new(client: Client, pool: Option<Arc<Pool>>, restart_backoff: Duration) -> Self {
        let restart_backoff = SignedDuration::try_from(restart_backoff).unwrap_or(SignedDuration::MAX);
        Self { client, pool, restart_backoff }
    }

    fn api<K>(&self, sandbox: &Sandbox) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.client.clone(), &sandbox.namespace())
    }

    fn sandboxes(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &sandboxes())
    }

    pub(crate) async fn reconcile(&self, seen: &DynamicObject) -> Result<Action, Failure> {
        let api = self.sandboxes(&seen.namespace().unwrap_or_default());
        let Some(object) = api.get_opt(&seen.name_any()).await? else { return Ok(Action::await_change()) };
        let mut sandbox = Sandbox::read(object)?;
        let mut pool = match &self.pool {
            Some(pool) if pool.serves(&sandbox.namespace()) => PoolView::Here,
            _ => PoolView::Elsewhere,
        };
        loop {
            let (world, template) = self.observe(&mut sandbox, pool).await?;
            let step = decide(&sandbox, &world, Timestamp::now());
            tracing::debug!(sandbox = sandbox.name(), phase = sandbox.status.phase, ?step);
            match step {
                Step::AddFinalizer => {
                    sandbox.object.finalizers_mut().push(FINALIZER.into());
                    self.write(&sandbox).await?;
                    return Ok(Action::requeue(Duration::ZERO));
                }
                Step::Begin => sandbox = self.write_status(sandbox, json!({"phase": "Creating"})).await?,
                Step::Claim(name) => match self.claim(&sandbox, &name, template.as_ref()).await? {
                    Some(action) => return Ok(action),
                    None => pool = PoolView::Tried,
                },
                Step::ColdStart(start) => {
                    return Box::pin(self.start_cold(sandbox, template.as_ref(), start)).await;
                }
                Step::Stop { reason, annotated } => return self.stop(sandbox, &reason, annotated).await,
                Step::Heal { restart_count, message } => {
                    let status = json!({
                        "phase": "Error", "podName": null, "restartCount": restart_count, "message": message,
                    });
                    self.write_status(sandbox, status).await?;
                    return Ok(Action::requeue(Duration::ZERO));
                }
                Step::Restart => {
                    self.write_status(sandbox, json!({"phase": "Creating", "message": null})).await?;
                    return Ok(Action::requeue(Duration::ZERO));
                }
                Step::ForgetRestarts => {
                    sandbox = self.write_status(sandbox, json!({"restartCount": null})).await?;
                }
                Step::Fail { restart_count, message } => {
                    let status = json!({"restartCount": (restart_count > 0).then_some(restart_count)});
                    sandbox.set_status(status);
                    return self.fail(sandbox, message).await;
                }
                Step::CleanUp => return self.clean_up(sandbox).await,
                Step::Rest(None) => return Ok(Action::await_change()),
                Step::Rest(Some(wait)) => {
                    return Ok(Action::requeue(wait.try_into().unwrap_or(LOOK_AGAIN)));
                }
            }
        }
    }

    /// Reads what the Sandbox's phase asks for. A resolved template goes into the status at hand, to be written with
    /// whatever is written next.
    async fn observe(
        &self,
        sandbox: &mut Sandbox,
        pool: PoolView,
    ) -> Result<(World, Option<Template>), Failure> {
        let mut world = World {
            template: TemplateOutcome::NotAsked,
            pod: None,
            pool,
            restart_backoff: self.restart_backoff,
        };
        let mut template = None;
        match sandbox.status.phase.as_str() {
            "Creating" => {
                match self.template(sandbox).await {
                    Ok(resolved) => template = resolved,
                    Err(Unresolved::ForGood(why)) => world.template = TemplateOutcome::Unresolvable(why),
                    Err(Unresolved::Api(error)) => return Err(error.into()),
                }
                if let Some(template) = &template {
                    world.template = TemplateOutcome::Resolved(template.name.clone());
                    sandbox.set_status(json!({
                        "resolvedTemplate": template.name,
                        "templateResourceVersion": template.resource_version,
                    }));
                }
                world.pod = self.pod_state(sandbox, &sandbox.cold_pod_name()).await?;
                if world.pod == Some(PodState::Ready)
                    && !self.credentials_exist(sandbox, template.as_ref()).await?
                {
                    world.pod = Some(PodState::Starting);
                }
            }
            "Running" if !sandbox.status.pod_name.is_empty() => {
                world.pod = self.pod_state(sandbox, &sandbox.status.pod_name).await?;
            }
            _ => {}
        }
        Ok((world, template))
    }

    async fn template(&self, sandbox: &Sandbox) -> Result<Option<Template>, Unresolved> {
        match &sandbox.spec.template_ref {
            Some(wanted) => resolve(&self.client, wanted, &sandbox.namespace()).await.map(Some),
            None => Ok(None),
        }
    }

    async fn pod_state(&self, sandbox: &Sandbox, name: &str) -> kube::Result<Option<PodState>> {
        Ok(self.api::<Pod>(sandbox).get_opt(name).await?.as_ref().map(PodState::of))
    }

    /// A kubelet does not start a container whose Secret is missing; fake nodes do, so the double looks itself.
    async fn credentials_exist(&self, sandbox: &Sandbox, template: Option<&Template>) -> kube::Result<bool> {
        let inherited = template.iter().flat_map(|template| &template.spec.credentials);
        for credential in inherited.chain(&sandbox.spec.credentials) {
            if self.api::<Secret>(sandbox).get_metadata_opt(&credential.secret_name).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs the Sandbox on a pool pod, and on the pool's empty volume. None: nothing was to be had.
    async fn claim(
        &self,
        sandbox: &Sandbox,
        name: &str,
        template: Option<&Template>,
    ) -> Result<Option<Action>, Failure> {
        let Some(pool) = &self.pool else { return Ok(None) };
        let claimed = match pool.claim(sandbox, name).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::warn!(sandbox = sandbox.name(), %error, "a pool claim failed; starting cold");
                return Ok(None);
            }
        };
        tracing::info!(sandbox = sandbox.name(), pod = claimed.pod, "runs on a pool pod");
        let sandbox = sandbox.clone();
        if let Err(error) = self.ensure_network_policy(&sandbox, template).await {
            let why = format!("NetworkPolicy creation failed for warm-pool sandbox: {error}");
            return self.fail(sandbox, why).await.map(Some);
        }
        self.run(sandbox, &claimed.pod, &claimed.pvc).await.map(Some)
    }

    async fn start_cold(
        &self,
        mut sandbox: Sandbox,
        template: Option<&Template>,
        start: ColdStart,
    ) -> Result<Action, Failure> {
        if let Some(agent) = template.and_then(|template| template.spec.harness.as_ref()?.agent.as_ref()) {
            sandbox.set_status(json!({"resolvedAgentSpec": agent}));
        }
        let storage = Template::storage(template, &sandbox.spec);
        // The trap: whatever claim has the name is taken as it is.
        let workspace = children::workspace(&sandbox, &storage);
        if let Err(error) = self.ensure(&self.api::<PersistentVolumeClaim>(&sandbox), &workspace).await? {
            return self.fail(sandbox, format!("PVC creation failed: {error}")).await;
        }
        sandbox.set_status(json!({"pvcName": workspace.name_any()}));
        if let Err(error) = refused(self.ensure_network_policy(&sandbox, template).await)? {
            return self.fail(sandbox, format!("NetworkPolicy creation failed: {error}")).await;
        }
        match start {
            ColdStart::CreatePod => self.create_pod(sandbox, template).await,
            ColdStart::AwaitPod => Ok(Action::requeue(POD_POLL)),
            ColdStart::Run => {
                let pod = sandbox.cold_pod_name();
                self.run(sandbox, &pod, &workspace.name_any()).await
            }
            ColdStart::Fail(message) => self.fail(sandbox, message).await,
        }
    }

    async fn create_pod(&self, sandbox: Sandbox, template: Option<&Template>) -> Result<Action, Failure> {
        // Where the API server's ServiceAccount admission is off, its refusal is missed otherwise.
        let account = children::service_account(&sandbox, template);
        let known = account.is_empty()
            || self.api::<ServiceAccount>(&sandbox).get_metadata_opt(&account).await?.is_some();
        if !known {
            let why = format!("Pod creation failed: serviceaccount \"{account}\" not found");
            return self.fail(sandbox, why).await;
        }
        let pod = children::pod(&sandbox, template);
        if let Err(error) = refused(self.api::<Pod>(&sandbox).create(&PostParams::default(), &pod).await)? {
            return self.fail(sandbox, format!("Pod creation failed: {error}")).await;
        }
        self.write_status(sandbox, json!({"podName": pod.name_any()})).await?;
        Ok(Action::requeue(POD_POLL))
    }

    /// Creating → Running: the only place that sets the clocks.
    async fn run(&self, sandbox: Sandbox, pod: &str, pvc: &str) -> Result<Action, Failure> {
        let now = kubernetes_time(Timestamp::now());
        let status = json!({
            "phase": "Running", "podName": pod, "pvcName": pvc, "startedAt": now, "lastActivityTimestamp": now,
            "message": null,
        });
        self.write_status(sandbox, status).await?;
        Ok(Action::requeue(Duration::ZERO))
    }

    /// Running → Stopped, at once: the pod is asked to go, not waited for.
    async fn stop(&self, mut sandbox: Sandbox, reason: &str, annotated: bool) -> Result<Action, Failure> {
        if annotated {
            sandbox.object.annotations_mut().remove(ACTION);
            sandbox = self.write(&sandbox).await?;
        }
        let template = self.template(&sandbox).await.ok().flatten();
        let wants_snapshot = Template::storage(template.as_ref(), &sandbox.spec).snapshot_on_stop;
        if wants_snapshot && !sandbox.status.pvc_name.is_empty() {
            // AgentTier does not hold up a stop for a snapshot.
            if let Err(error) = children::snapshot_on_stop(&self.client, &sandbox).await {
                tracing::warn!(sandbox = sandbox.name(), %error, "no snapshot on stop");
            }
        }
        delete(&self.api::<Pod>(&sandbox), &sandbox.status.pod_name).await?;
        let status = json!({"phase": "Stopped", "podName": null, "startedAt": null, "message": reason});
        self.write_status(sandbox, status).await?;
        Ok(Action::await_change())
    }

    /// Deletes what status names; a claim that it does not name stays unless its owner reference takes it along.
    async fn clean_up(&self, mut sandbox: Sandbox) -> Result<Action, Failure> {
        delete(&self.api::<Pod>(&sandbox), &sandbox.status.pod_name).await?;
        delete(&self.api::<PersistentVolumeClaim>(&sandbox), &sandbox.status.pvc_name).await?;
        delete(&self.api::<NetworkPolicy>(&sandbox), &sandbox.network_policy_name()).await?;
        sandbox.object.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
        self.write(&sandbox).await?;
        Ok(Action::await_change())
    }

    async fn fail(&self, sandbox: Sandbox, message: String) -> Result<Action, Failure> {
        self.write_status(sandbox, json!({"phase": Phase::Error.as_str(), "message": message})).await?;
        Ok(Action::await_change())
    }

    async fn ensure_network_policy(
        &self,
        sandbox: &Sandbox,
        template: Option<&Template>,
    ) -> kube::Result<()> {
        let api = self.api::<NetworkPolicy>(sandbox);
        let wanted = children::network_policy(sandbox, template);
        match api.get_opt(&sandbox.network_policy_name()).await? {
            Some(mut found) if found.spec != wanted.spec => {
                found.spec = wanted.spec;
                api.replace(&sandbox.network_policy_name(), &PostParams::default(), &found).await.map(drop)
            }
            Some(_) => Ok(()),
            None => api.create(&PostParams::default(), &wanted).await.map(drop),
        }
    }

    /// Creates what is not there. A failure is worth another try, a refused create (inner) is for good.
    async fn ensure<K>(&self, api: &Api<K>, wanted: &K) -> kube::Result<kube::Result<()>>
    where
        K: Resource + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
    {
        if api.get_opt(&wanted.name_any()).await?.is_some() {
            return Ok(Ok(()));
        }
        refused(api.create(&PostParams::default(), wanted).await.map(drop))
    }

    /// Writes metadata. The answer replaces the reading at hand.
    async fn write(&self, sandbox: &Sandbox) -> Result<Sandbox, Failure> {
        let api = self.sandboxes(&sandbox.namespace());
        let written = api.replace(&sandbox.name(), &PostParams::default(), &sandbox.object).await?;
        Ok(Sandbox::read(written)?)
    }

    async fn write_status(&self, mut sandbox: Sandbox, fields: Value) -> Result<Sandbox, Failure> {
        sandbox.set_status(fields);
        let api = self.sandboxes(&sandbox.namespace());
        let written = api.replace_status(&sandbox.name(), &PostParams::default(), &sandbox.object).await?;
        Ok(Sandbox::read(written)?)
    }
}

/// What the API server refuses (inner) is for good. That it is busy, or that the connection is lost, is not.
fn refused<T>(outcome: kube::Result<T>) -> kube::Result<kube::Result<T>> {
    match outcome {
        Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
            Ok(Err(kube::Error::Api(status)))
        }
        outcome => outcome.map(Ok),
    }
}

/// Absent and unnamed objects are fine.
async fn delete<K>(api: &Api<K>, name: &str) -> kube::Result<()>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    if name.is_empty() {
        return Ok(());
    }
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}
