//! The warm pool: idle pods on empty volumes, handed to whoever comes first.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Client, ResourceExt,
    api::{Api, DynamicObject, ListParams, PostParams},
};
use serde_json::json;

use crate::{
    children,
    controller::End,
    pod_state::PodState,
    sandbox::{MANAGED_LABEL, SANDBOX_LABEL, Sandbox, TEMPLATE_LABEL},
    template::{TemplateSpec, cluster_templates},
};

const POOLED_LABEL: &str = "agenttier.io/pooled";
const POOL_TEMPLATE_LABEL: &str = "agenttier.io/pool-template";
/// After so many lost races a claim gives up.
const CLAIM_ATTEMPTS: usize = 3;

/// A pool of ready pods for one `ClusterSandboxTemplate`, in one namespace. It grows to its size and, unlike
/// AgentTier's, never shrinks.
#[derive(Clone, Debug)]
pub struct WarmPool {
    /// Where its pods are, and the only namespace whose Sandboxes can claim them.
    pub namespace: String,
    /// The `ClusterSandboxTemplate` that it warms. A Sandbox claims when the *name* of its resolved template is
    /// this one, whatever the kind.
    pub template: String,
    /// How many idle pods are kept.
    pub size: usize,
    /// Of the pool's claims. AgentTier knows only `gp3-immediate`.
    pub storage_class: String,
    /// Between two looks at the pool; each adds one pod at most. AgentTier: 15 s.
    pub interval: Duration,
    /// Which claims fail half-way.
    pub stale_claims: StaleClaims,
    /// No volume can be handed over: it keeps the pool's labels and gets no owner, and the Sandbox uses it all the same.
    /// With AgentTier it takes a conflict, with the provisioner's writes for example.
    pub keeps_volumes: bool,
}

impl WarmPool {
    /// A pool as AgentTier has it.
    #[must_use]
    pub fn new(namespace: impl Into<String>, template: impl Into<String>, size: usize) -> Self {
        Self {
            namespace: namespace.into(),
            template: template.into(),
            size,
            storage_class: "gp3-immediate".into(),
            interval: Duration::from_secs(15),
            stale_claims: StaleClaims::Never,
            keeps_volumes: false,
        }
    }
}

/// AgentTier claims a pod and then reads it back from a cache that may not know of the claim yet; its next write
/// is then refused and it starts cold. The claimed pod stays behind: in no pool, owned by nobody, on a claim that
/// is still labelled as pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleClaims {
    /// Every claim succeeds: the worst case for a restored volume.
    Never,
    /// Every claim fails half-way.
    Always,
    /// So many of a hundred fail, drawn from the seed: the n-th claim fares the same in each run. With the real
    /// AgentTier six of seven were seen to fail.
    Percent {
        /// 0 to 100.
        percent: u8,
        /// Any number.
        seed: u64,
    },
}

impl StaleClaims {
    fn hits(self, nth: u64) -> bool {
        match self {
            StaleClaims::Never => false,
            StaleClaims::Always => true,
            StaleClaims::Percent { percent, seed } => {
                split_mix(seed.wrapping_add(nth)) % 100 < u64::from(percent)
            }
        }
    }
}

/// One draw of the `SplitMix64` generator.
fn split_mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What a Sandbox got from the pool.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) pod: String,
    pub(crate) pvc: String,
}

/// The pool at work.
pub(crate) struct Pool {
    client: Client,
    settings: WarmPool,
    claims: AtomicU64,
}

impl Pool {
    pub(crate) fn new(client: Client, settings: WarmPool) -> Self {
        Self { client, settings, claims: AtomicU64::new(0) }
    }

    pub(crate) fn serves(&self, namespace: &str) -> bool {
        self.settings.namespace == namespace
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.settings.namespace)
    }

    fn pvcs(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &self.settings.namespace)
    }

    /// Takes a ready pod for the Sandbox and hands it over with its volume. None if there is none, or if the claim
    /// failed half-way: the Sandbox then starts cold.
    pub(crate) async fn claim(&self, sandbox: &Sandbox, template: &str) -> kube::Result<Option<Claimed>> {
        let Some(pod) = self.take(template).await? else { return Ok(None) };
        let pvc = mounted_claim(&pod);
        if self.settings.stale_claims.hits(self.claims.fetch_add(1, Ordering::Relaxed)) {
            tracing::info!(sandbox = sandbox.name(), pod = pod.name_any(), "a claim failed half-way");
            return Ok(None);
        }
        let name = pod.name_any();
        self.hand_over_pod(pod, sandbox, template).await?;
        // AgentTier goes on without the volume's labels and owner when this fails.
        if self.settings.keeps_volumes {
            tracing::info!(pvc, "the pool's volume is not handed over");
        } else if let Err(error) = self.hand_over_volume(&pvc, sandbox).await {
            tracing::warn!(pvc, %error, "the pool's volume was not handed over");
        }
        Ok(Some(Claimed { pod: name, pvc }))
    }

    /// The first ready pod, out of the pool. Its resourceVersion decides between two that want it.
    async fn take(&self, template: &str) -> kube::Result<Option<Pod>> {
        let labels = format!("{POOLED_LABEL}=true,{POOL_TEMPLATE_LABEL}={template}");
        for _ in 0..CLAIM_ATTEMPTS {
            let mut lost_a_race = false;
            let pods = self.pods().list(&ListParams::default().labels(&labels)).await?;
            for mut pod in pods.items.into_iter().filter(|pod| PodState::of(pod) == PodState::Ready) {
                pod.labels_mut().remove(POOLED_LABEL);
                pod.labels_mut().remove(POOL_TEMPLATE_LABEL);
                match self.pods().replace(&pod.name_any(), &PostParams::default(), &pod).await {
                    Ok(taken) => return Ok(Some(taken)),
                    Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                        lost_a_race = true;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !lost_a_race {
                break;
            }
        }
        Ok(None)
    }

    /// Nobody else wants it now: whoever has written to it meanwhile, as a kubelet does, gives way.
    async fn hand_over_pod(&self, mut pod: Pod, sandbox: &Sandbox, template: &str) -> kube::Result<()> {
        let name = pod.name_any();
        loop {
            pod.labels_mut().insert(SANDBOX_LABEL.into(), sandbox.name());
            pod.labels_mut().insert(TEMPLATE_LABEL.into(), template.into());
            pod.owner_references_mut().push(sandbox.owner_reference());
            match self.pods().replace(&name, &PostParams::default(), &pod).await {
                Err(kube::Error::Api(status)) if status.is_conflict() => pod = self.pods().get(&name).await?,
                outcome => return outcome.map(drop),
            }
        }
    }

    /// The claim keeps its name, loses the pool's labels and gets no `managed` label.
    async fn hand_over_volume(&self, name: &str, sandbox: &Sandbox) -> kube::Result<()> {
        loop {
            let mut pvc = self.pvcs().get(name).await?;
            pvc.labels_mut().remove(POOLED_LABEL);
            pvc.labels_mut().remove(POOL_TEMPLATE_LABEL);
            pvc.owner_references_mut().push(sandbox.owner_reference());
            match self.pvcs().replace(name, &PostParams::default(), &pvc).await {
                // Who loses a volume to this is for `keeps_volumes` to say, and not for chance.
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Fills the pool to the end, one pod at a time.
    pub(crate) async fn keep_filled(&self, mut end: End) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        loop {
            tokio::select! { _ = ticks.tick() => {}, () = &mut end => return }
            if let Err(error) = self.fill().await {
                tracing::warn!(%error, template = self.settings.template, "the warm pool was not filled");
            }
        }
    }

    async fn fill(&self) -> kube::Result<()> {
        let labels = format!("{POOLED_LABEL}=true,{POOL_TEMPLATE_LABEL}={}", self.settings.template);
        let pods = self.pods().list_metadata(&ListParams::default().labels(&labels)).await?;
        if pods.items.len() < self.settings.size { self.add().await } else { Ok(()) }
    }

    async fn add(&self) -> kube::Result<()> {
        let template = &self.settings.template;
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &cluster_templates());
        let object = api.get(template).await?;
        let spec = object.data.get("spec").cloned().unwrap_or_else(|| json!({}));
        let spec: TemplateSpec = serde_json::from_value(spec).map_err(kube::Error::SerdeError)?;

        let prefix: String = template.chars().take(12).collect();
        // Keyed at random by the standard library: enough for a name.
        let suffix = RandomState::new().hash_one(self.claims.load(Ordering::Relaxed));
        let name = format!("pool-{prefix}-{suffix:016x}");
        let claim = format!("{name}-pvc");
        let size = children::size(&spec.storage.map(|storage| storage.size).unwrap_or_default());
        let pvc = json!({
            "metadata": {
                "name": claim,
                "labels": {POOLED_LABEL: "true", POOL_TEMPLATE_LABEL: template},
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": self.settings.storage_class,
                "resources": {"requests": {"storage": size}},
            },
        });
        let image = spec.image.map(|image| image.repository).filter(|image| !image.is_empty());
        let pod = json!({
            "metadata": {
                "name": name,
                "labels": {POOLED_LABEL: "true", POOL_TEMPLATE_LABEL: template, MANAGED_LABEL: "true"},
            },
            "spec": children::pod_spec(image.as_deref().unwrap_or(children::PLACEHOLDER_IMAGE), &claim, "/workspace"),
        });
        self.pvcs().create(&PostParams::default(), &children::typed(pvc)).await?;
        self.pods().create(&PostParams::default(), &children::typed(pod)).await?;
        tracing::debug!(pod = name, "pool pod added");
        Ok(())
    }
}

fn mounted_claim(pod: &Pod) -> String {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.next().map(|source| source.claim_name.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_claims_follow_their_seed() {
        let draw = |seed| {
            (0..1000).map(|nth| StaleClaims::Percent { percent: 30, seed }.hits(nth)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let hits = draw(7).into_iter().filter(|hit| *hit).count();
        assert!((200..400).contains(&hits), "{hits} of 1000 for 30 %");
        assert!(!StaleClaims::Percent { percent: 0, seed: 7 }.hits(0));
        assert!(StaleClaims::Percent { percent: 100, seed: 7 }.hits(0));
    }
}
