//! A small world for restores: one sandbox, its claim, its recovery point, and AgentTier as it behaves: its steps
//! one at a time, its warm pool, its stops, its self-healing. Whoever moves next is the test's choice.

use agenttier_backup_plan::restore::{ClaimSight, OwnPod, SandboxSight, Sight, SnapshotSight, Step};

/// The claim that AgentTier gives the sandbox, and that the restore fills.
pub(crate) const OWN_CLAIM: &str = "s1-workspace";
const OWN_POD: &str = "s1-pod";
const POOL_CLAIM: &str = "pool-1-pvc";
const POOL_POD: &str = "pool-1";
/// No sandbox is written so often.
const WRITES: u32 = 1_000;

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) snapshot: Option<SnapshotSight>,
    pub(crate) claim: Option<ClaimSight>,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) binds_on_first_use: bool,
    /// The pod of the sandbox's own name.
    own_pod: Option<Pod>,
    /// The pod of the pool that AgentTier took last; another one, if the sandbox does not name it, is nobody's.
    pool_pod: Option<Pod>,
    /// How many sandboxes were made.
    made: u32,
    /// Warm pods that are ready to be claimed.
    pub(crate) pool: u32,
    /// How often AgentTier gave the sandbox an empty volume of the pool.
    pub(crate) thefts: u32,
    /// Somebody has resumed the sandbox since the restore last started it.
    pub(crate) resumed: bool,
    /// How often AgentTier, about to boot the sandbox, met a pod of it that had ended.
    pub(crate) ended_pods_met: u32,
    /// What AgentTier is about to write.
    word: Option<Word>,
}

#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // what one reads off an object, each on its own
pub(crate) struct Sandbox {
    pub(crate) ours: bool,
    pub(crate) terminating: bool,
    pub(crate) phase: &'static str,
    pub(crate) pod_name: Option<&'static str>,
    pub(crate) claim: Option<&'static str>,
    pub(crate) stop_asked: bool,
    has_finalizer: bool,
    /// In Error, AgentTier will build its lost pod anew.
    pub(crate) heals: bool,
    /// Counts its writes, as `resourceVersion` does.
    version: u32,
}

#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // as above
struct Pod {
    running: bool,
    /// It is being deleted. Until it is gone, AgentTier takes it for what it was.
    leaving: bool,
    /// Its node is cut off: it stays as it is.
    cut_off: bool,
    /// Its containers have ended, and it is Failed.
    ended: bool,
}

/// A status of AgentTier's that holds only for the sandbox as AgentTier saw it.
#[derive(Debug, Clone, Copy)]
struct Word {
    version: u32,
    phase: &'static str,
    pod_name: Option<&'static str>,
    claim: Option<&'static str>,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// AgentTier makes one step of a reconcile.
    Reconcile,
    /// Pods come up, or go; a claim that waits for its first user is bound.
    Kubelet,
    /// A claim that waits for nobody is bound.
    Provision,
    /// A warm pod gets ready.
    FillPool,
    /// The pod's node is cut off: it is to go, and does not.
    CutOff,
    /// The node of the sandbox's own pod is back. That of a pool's pod may never be.
    Reconnect,
    /// The pod's node fails, and the pod is gone.
    LosePod,
    UserStops,
    UserResumes,
}

impl Sandbox {
    /// Somebody else's, of the same name.
    pub(crate) fn of_another() -> Self {
        Self { phase: "Stopped", version: u32::MAX / 2, ..Self::default() }
    }

    fn has_no_status(&self) -> bool {
        self.phase.is_empty() && self.pod_name.is_none() && self.claim.is_none()
    }

    fn park(&mut self) {
        self.phase = "Stopped";
        (self.pod_name, self.claim) = (Some(OWN_POD), Some(OWN_CLAIM));
    }
}

impl World {
    pub(crate) fn new(binds_on_first_use: bool, pool: u32) -> Self {
        Self {
            snapshot: Some(SnapshotSight { usable: true }),
            claim: None,
            sandbox: None,
            binds_on_first_use,
            own_pod: None,
            pool_pod: None,
            made: 0,
            pool,
            thefts: 0,
            resumed: false,
            ended_pods_met: 0,
            word: None,
        }
    }

    /// The pod that the sandbox's status names, and the claim that it mounts.
    fn named_pod(&self) -> Option<(Pod, &'static str)> {
        match self.sandbox.as_ref()?.pod_name? {
            POOL_POD => Some((self.pool_pod?, POOL_CLAIM)),
            _ => Some((self.own_pod?, OWN_CLAIM)),
        }
    }

    /// What the restore reads.
    pub(crate) fn sight(&self) -> Sight {
        let named = self.named_pod();
        let sandbox = self.sandbox.as_ref().map(|sandbox| SandboxSight {
            ours: sandbox.ours,
            terminating: sandbox.terminating,
            phase: sandbox.phase.into(),
            message: if sandbox.phase == "Error" { "template not found".into() } else { String::new() },
            heals: sandbox.heals,
            has_pod_name: sandbox.pod_name.is_some(),
            claim: sandbox.claim.map(Into::into),
            mounted: named.filter(|(pod, _)| !pod.leaving).map(|(_, claim)| claim.into()),
            own_pod: match self.own_pod {
                None => OwnPod::Absent,
                Some(Pod { leaving: false, .. }) => OwnPod::Up,
                Some(_) => OwnPod::Leaving,
            },
            stopping: sandbox.stop_asked,
        });
        Sight {
            snapshot: self.snapshot,
            claim: self.claim,
            sandbox,
            binds_on_first_use: self.binds_on_first_use,
        }
    }

    /// How often the sandbox was written; what a restore decides holds only for the sandbox that it saw.
    pub(crate) fn version(&self) -> Option<u32> {
        self.sandbox.as_ref().map(|sandbox| sandbox.version)
    }

    /// Does what the restore decided, perhaps a while ago, when the sandbox had that version: what exists by now is not
    /// made again, what is gone or has changed is not written to. True: a sandbox was made, to be parked next.
    pub(crate) fn act(&mut self, step: &Step, seen: Option<u32>) -> bool {
        let unchanged = self.version() == seen;
        match step {
            Step::CreateClaim => {
                self.claim.get_or_insert(ClaimSight { ours: true, ..fresh_claim() });
            }
            Step::CreateSandbox if self.sandbox.is_none() => {
                self.made += 1;
                let version = self.made * WRITES;
                self.sandbox = Some(Sandbox { ours: true, version, ..Sandbox::default() });
                return true;
            }
            Step::Adopt => {
                if let (Some(claim), Some(_)) = (&mut self.claim, &self.sandbox) {
                    claim.owned_by_sandbox = true;
                }
            }
            Step::Park | Step::Start | Step::StopRobbed | Step::StopUnasked if unchanged => {
                let Some(sandbox) = &mut self.sandbox else { return false };
                match step {
                    Step::Park => sandbox.park(),
                    Step::Start => (sandbox.phase, self.resumed) = ("Creating", false),
                    _ => sandbox.stop_asked = true,
                }
                sandbox.version += 1;
            }
            _ => {}
        }
        false
    }

    /// Parks the sandbox that was just made, unless something is said of it already.
    pub(crate) fn park_the_new_one(&mut self) {
        if let Some(sandbox) = self.sandbox.as_mut().filter(|sandbox| sandbox.ours && sandbox.has_no_status())
        {
            sandbox.park();
            sandbox.version += 1;
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
            Move::CutOff => {
                if let Some(pod) = self.named_pod_mut() {
                    (pod.leaving, pod.cut_off) = (true, true);
                }
            }
            Move::Reconnect => {
                self.own_pod.take_if(|pod| pod.cut_off);
            }
            Move::LosePod => match self.sandbox.as_ref().and_then(|sandbox| sandbox.pod_name) {
                Some(POOL_POD) => self.pool_pod = None,
                _ => self.own_pod = None,
            },
            Move::UserStops => {
                if let Some(sandbox) = &mut self.sandbox {
                    sandbox.stop_asked = true;
                    sandbox.version += 1;
                }
            }
            Move::UserResumes => {
                if let Some(sandbox) = self.sandbox.as_mut().filter(|sandbox| sandbox.phase == "Stopped") {
                    sandbox.phase = "Creating";
                    sandbox.version += 1;
                    self.resumed = true;
                }
            }
        }
    }

    fn named_pod_mut(&mut self) -> Option<&mut Pod> {
        match self.sandbox.as_ref()?.pod_name? {
            POOL_POD => self.pool_pod.as_mut(),
            _ => self.own_pod.as_mut(),
        }
    }

    fn reconcile(&mut self) {
        let (word, named_pod) = (self.word.take(), self.named_pod());
        let Some(sandbox) = &mut self.sandbox else { return };
        if let Some(word) = word {
            // Otherwise it is a conflict, and AgentTier looks again.
            if word.version == sandbox.version {
                (sandbox.phase, sandbox.pod_name, sandbox.claim) = (word.phase, word.pod_name, word.claim);
                sandbox.version += 1;
            }
            return;
        }
        match sandbox.phase {
            "" if !sandbox.has_finalizer => {
                sandbox.has_finalizer = true;
                sandbox.version += 1;
            }
            "" => {
                sandbox.phase = "Creating";
                sandbox.version += 1;
            }
            "Creating" => self.boot(),
            "Error" if sandbox.heals => {
                (sandbox.phase, sandbox.heals) = ("Creating", false);
                sandbox.version += 1;
            }
            "Running" if sandbox.stop_asked => {
                let version = sandbox.version + 1;
                (sandbox.stop_asked, sandbox.version) = (false, version);
                let claim = sandbox.claim;
                // The pod is asked to go, and then Stopped is said.
                if let Some(pod) = self.named_pod_mut() {
                    pod.leaving = true;
                }
                self.word = Some(Word { version, phase: "Stopped", pod_name: None, claim });
            }
            "Running" if named_pod.is_none_or(|(pod, _)| pod.ended) => self.heal(),
            _ => {}
        }
    }

    /// A lost pod is built anew, and the pool is asked for it first.
    fn heal(&mut self) {
        let Some(sandbox) = &mut self.sandbox else { return };
        (sandbox.phase, sandbox.pod_name, sandbox.heals) = ("Error", None, true);
        sandbox.version += 1;
    }

    fn boot(&mut self) {
        let Some(sandbox) = &self.sandbox else { return };
        let says = |phase, pod_name, claim| {
            Some(Word { version: sandbox.version, phase, pod_name: Some(pod_name), claim: Some(claim) })
        };
        if sandbox.pod_name.is_none() && self.pool > 0 {
            self.pool -= 1;
            self.thefts += 1;
            self.pool_pod = Some(Pod { running: true, ..Pod::default() });
            self.word = says("Running", POOL_POD, POOL_CLAIM);
            return;
        }
        // An existing claim of that name is taken as it is.
        self.claim.get_or_insert_with(fresh_claim);
        self.word = match self.own_pod {
            None => {
                self.own_pod = Some(Pod::default());
                says("Creating", OWN_POD, OWN_CLAIM)
            }
            Some(pod) if pod.ended => {
                self.ended_pods_met += 1;
                says("Error", OWN_POD, OWN_CLAIM)
            }
            Some(pod) if pod.running => says("Running", OWN_POD, OWN_CLAIM),
            Some(_) => None,
        };
    }

    fn kubelet(&mut self) {
        for pods in [&mut self.own_pod, &mut self.pool_pod] {
            pods.take_if(|pod| pod.ended);
            if let Some(pod) = pods.as_mut().filter(|pod| pod.leaving && !pod.cut_off) {
                pod.ended = true;
            }
        }
        let Some(pod) = self.own_pod.as_mut().filter(|pod| !pod.leaving) else { return };
        if let Some(claim) = &mut self.claim {
            let readable = self.snapshot.is_some_and(|snapshot| snapshot.usable);
            if claim.bound {
                pod.running = !claim.lost;
            } else if self.binds_on_first_use {
                claim.bound = readable || !claim.ours;
            }
        }
    }

    /// The sandbox's pod works on the restored volume, and goes on to.
    pub(crate) fn runs_on_its_own(&self) -> bool {
        self.named_pod().is_some_and(|(pod, claim)| pod.running && !pod.leaving && claim == OWN_CLAIM)
    }

    /// The sandbox's status or its pod is about another volume.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let claim = self.sandbox.as_ref().and_then(|sandbox| sandbox.claim);
        claim != Some(OWN_CLAIM) || self.named_pod().is_some_and(|(_, claim)| claim != OWN_CLAIM)
    }

    /// The pod of its own name is there, and nobody has told it to go.
    pub(crate) fn has_own_pod(&self) -> bool {
        self.own_pod.is_some_and(|pod| !pod.leaving)
    }

    /// Nothing writes to the restored volume, nor is anything left of what did.
    pub(crate) fn rests(&self) -> bool {
        self.own_pod.is_none()
    }
}

fn fresh_claim() -> ClaimSight {
    ClaimSight { ours: false, bound: false, lost: false, terminating: false, owned_by_sandbox: false }
}
