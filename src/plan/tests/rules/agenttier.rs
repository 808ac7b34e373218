//! A small world for restores: one sandbox, its claim, its recovery point, and AgentTier as it behaves: its steps
//! one at a time, its warm pool, its stops, its self-healing. Whoever moves next is the test's choice.

use agenttier_backup_plan::restore::{ClaimSight, SandboxSight, Sight, SnapshotSight, Step};

/// The claim that AgentTier gives the sandbox, and that the restore fills.
pub(crate) const OWN_CLAIM: &str = "s1-workspace";
const OWN_POD: &str = "s1-pod";
const POOL_CLAIM: &str = "pool-1-pvc";
const POOL_POD: &str = "pool-1";

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) snapshot: Option<SnapshotSight>,
    pub(crate) claim: Option<ClaimSight>,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) binds_on_first_use: bool,
    /// Warm pods that are ready to be claimed.
    pub(crate) pool: u32,
    /// How often AgentTier gave the sandbox an empty volume of the pool.
    pub(crate) thefts: u32,
}

#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // what one reads off an object, each on its own
pub(crate) struct Sandbox {
    pub(crate) ours: bool,
    pub(crate) terminating: bool,
    pub(crate) phase: &'static str,
    pub(crate) pod_name: Option<&'static str>,
    pub(crate) claim: Option<&'static str>,
    stop_asked: bool,
    has_finalizer: bool,
    pod: Option<Pod>,
}

#[derive(Debug, Clone, Copy)]
struct Pod {
    mounts: &'static str,
    running: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// AgentTier reconciles the sandbox once.
    Reconcile,
    /// Pods come up; a claim that waits for its first user is bound.
    Kubelet,
    /// A claim that waits for nobody is bound.
    Provision,
    /// A warm pod gets ready.
    FillPool,
    /// The pod's node fails, and AgentTier notices.
    LosePod,
    UserStops,
    UserResumes,
}

impl Sandbox {
    /// Somebody else's, of the same name.
    pub(crate) fn of_another() -> Self {
        Self { phase: "Stopped", ..Self::default() }
    }
}

impl World {
    pub(crate) fn new(binds_on_first_use: bool, pool: u32) -> Self {
        let snapshot = Some(SnapshotSight { usable: true });
        Self { snapshot, claim: None, sandbox: None, binds_on_first_use, pool, thefts: 0 }
    }

    /// What the restore reads.
    pub(crate) fn sight(&self) -> Sight {
        let sandbox = self.sandbox.as_ref().map(|sandbox| SandboxSight {
            ours: sandbox.ours,
            terminating: sandbox.terminating,
            phase: sandbox.phase.into(),
            message: if sandbox.phase == "Error" { "template not found".into() } else { String::new() },
            has_pod_name: sandbox.pod_name.is_some(),
            claim: sandbox.claim.map(Into::into),
            mounted: sandbox.pod.filter(|pod| pod.running).map(|pod| pod.mounts.into()),
            stopping: sandbox.stop_asked,
        });
        Sight {
            snapshot: self.snapshot,
            claim: self.claim,
            sandbox,
            binds_on_first_use: self.binds_on_first_use,
        }
    }

    /// Does what the restore decided, perhaps a while ago: what exists by now is not made again, what is gone is
    /// not written to.
    pub(crate) fn act(&mut self, step: &Step) {
        match step {
            Step::CreateClaim => {
                self.claim.get_or_insert(ClaimSight { ours: true, ..fresh_claim() });
            }
            Step::CreateSandbox => {
                self.sandbox.get_or_insert_with(|| Sandbox { ours: true, ..Sandbox::default() });
            }
            Step::Adopt => {
                if let (Some(claim), Some(_)) = (&mut self.claim, &self.sandbox) {
                    claim.owned_by_sandbox = true;
                }
            }
            Step::Park | Step::Start | Step::StopRobbed => {
                let Some(sandbox) = &mut self.sandbox else { return };
                match step {
                    Step::Park => {
                        sandbox.phase = "Stopped";
                        (sandbox.pod_name, sandbox.claim) = (Some(OWN_POD), Some(OWN_CLAIM));
                        // A pod of the pool that was just claimed is nobody's now.
                        sandbox.pod = sandbox.pod.filter(|pod| pod.mounts == OWN_CLAIM);
                    }
                    Step::Start => sandbox.phase = "Creating",
                    _ => sandbox.stop_asked = true,
                }
            }
            Step::AwaitBound | Step::AwaitRunning | Step::AwaitStopped | Step::Done | Step::Refuse(_) => {}
        }
    }

    pub(crate) fn make(&mut self, next: Move) {
        match next {
            Move::Reconcile => self.reconcile(),
            Move::Kubelet => self.kubelet(),
            Move::Provision => {
                let readable = self.snapshot.is_some_and(|snapshot| snapshot.usable);
                if let Some(claim) = &mut self.claim
                    && !self.binds_on_first_use
                {
                    claim.bound |= readable || !claim.ours;
                }
            }
            Move::FillPool => self.pool += 1,
            Move::LosePod => {
                if let Some(sandbox) = &mut self.sandbox
                    && sandbox.pod.take().is_some()
                    && sandbox.phase != "Stopped"
                {
                    (sandbox.phase, sandbox.pod_name) = ("Creating", None);
                }
            }
            Move::UserStops => {
                if let Some(sandbox) = &mut self.sandbox {
                    sandbox.stop_asked = true;
                }
            }
            Move::UserResumes => {
                if let Some(sandbox) = self.sandbox.as_mut().filter(|sandbox| sandbox.phase == "Stopped") {
                    sandbox.phase = "Creating";
                }
            }
        }
    }

    fn reconcile(&mut self) {
        let Some(sandbox) = &mut self.sandbox else { return };
        match sandbox.phase {
            "" if !sandbox.has_finalizer => sandbox.has_finalizer = true,
            "" => sandbox.phase = "Creating",
            "Creating" if sandbox.pod_name.is_none() && self.pool > 0 => {
                self.pool -= 1;
                self.thefts += 1;
                (sandbox.pod_name, sandbox.claim) = (Some(POOL_POD), Some(POOL_CLAIM));
                sandbox.pod = Some(Pod { mounts: POOL_CLAIM, running: true });
            }
            "Creating" if sandbox.pod.is_none() => {
                // An existing claim of that name is taken as it is.
                self.claim.get_or_insert_with(fresh_claim);
                (sandbox.pod_name, sandbox.claim) = (Some(OWN_POD), Some(OWN_CLAIM));
                sandbox.pod = Some(Pod { mounts: OWN_CLAIM, running: false });
            }
            "Creating" if sandbox.pod.is_some_and(|pod| pod.running) => sandbox.phase = "Running",
            "Running" if sandbox.stop_asked => {
                (sandbox.phase, sandbox.pod_name, sandbox.pod) = ("Stopped", None, None);
                sandbox.stop_asked = false;
            }
            _ => {}
        }
    }

    fn kubelet(&mut self) {
        let Some(pod) = self.sandbox.as_mut().and_then(|sandbox| sandbox.pod.as_mut()) else { return };
        if pod.mounts == POOL_CLAIM {
            pod.running = true;
        } else if let Some(claim) = &mut self.claim {
            let readable = self.snapshot.is_some_and(|snapshot| snapshot.usable);
            if claim.bound {
                pod.running = !claim.lost;
            } else if self.binds_on_first_use {
                claim.bound = readable || !claim.ours;
            }
        }
    }

    /// The sandbox's pod, if it is up, works on the restored volume.
    pub(crate) fn runs_on_its_own(&self) -> bool {
        let pod = self.sandbox.as_ref().and_then(|sandbox| sandbox.pod);
        pod.is_some_and(|pod| pod.running && pod.mounts == OWN_CLAIM)
    }
}

fn fresh_claim() -> ClaimSight {
    ClaimSight { ours: false, bound: false, lost: false, terminating: false, owned_by_sandbox: false }
}
