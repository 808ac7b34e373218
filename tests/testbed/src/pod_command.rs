//! The command of a pod, run as a local process: what a kubelet would do, less
//! the container.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::Cluster;
use crate::process::Exit;
use crate::supervisor::Launch;
use crate::wait::until;

/// How long a pod may take to be scheduled and started.
const LIMIT: Duration = Duration::from_mins(5);

impl Cluster {
    /// Runs the command of a pod's first container as a process on this
    /// machine, with the environment that its `env` spells out, in the
    /// directory of the first claim that the container mounts. (There is no
    /// container: absolute paths are this machine's.) Then sets the pod's
    /// status to Succeeded or Failed, with the exit code, as a kubelet does.
    /// The output is the log of the process `pod-<namespace>-<name>`.
    ///
    /// # Errors
    /// When the pod does not come to run on a node, names no command (an
    /// image's entrypoint cannot be known), or is gone by the end.
    pub async fn run_pod_command(&self, namespace: &str, name: &str) -> Result<Exit> {
        let pods = Api::<Pod>::namespaced(self.client(), namespace);
        let pod = until(&format!("the pod {namespace}/{name} to run"), LIMIT, || async {
            let pod = pods.get_opt(name).await?;
            Ok(pod.filter(|pod| phase(pod) == Some("Running")))
        })
        .await?;
        let container = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.containers.first())
            .context("a pod has at least one container")?;
        let cwd = self.working_directory(namespace, &pod, container).await?;
        let launch = launch(container, cwd)?;
        let started = Timestamp::now();
        let process = self.launch(&format!("pod-{namespace}-{name}"), launch).await?;
        let exit = process.wait().await?;
        let code = match &exit {
            Exit::Code(code) => *code,
            // As a shell tells it; which signal it was is in the reason.
            Exit::Signal(_) => 137,
        };
        let (phase, reason) = if code == 0 {
            ("Succeeded", "Completed".to_owned())
        } else {
            ("Failed", format!("Error: {exit}"))
        };
        let status = json!({"status": {
            "phase": phase,
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": Timestamp::now()},
                {"type": "ContainersReady", "status": "False", "reason": "PodCompleted", "lastTransitionTime": Timestamp::now()},
            ],
            "containerStatuses": [{
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "ready": false,
                "restartCount": 0,
                "state": {"terminated": {
                    "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": Timestamp::now(),
                }},
            }],
        }});
        pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
            .await
            .with_context(|| format!("tell the end of the pod {namespace}/{name}"))?;
        Ok(exit)
    }

    async fn working_directory(&self, namespace: &str, pod: &Pod, container: &Container) -> Result<PathBuf> {
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let claim = container.volume_mounts.iter().flatten().find_map(|mount| {
            let volume = volumes?.iter().find(|volume| volume.name == mount.name)?;
            volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone())
        });
        match claim {
            Some(claim) => Ok(self.volume(namespace, &claim).await?.path().to_owned()),
            None => Ok(self.dir().join("tmp")),
        }
    }
}

fn launch(container: &Container, cwd: PathBuf) -> Result<Launch> {
    let words = container.command.iter().chain(&container.args).flatten().cloned().collect::<Vec<_>>();
    let (Some([program, args @ ..]), Some(_)) = (Some(&words[..]), &container.command) else {
        bail!("the container {} names no command, and its image cannot be looked into", container.name);
    };
    let mut env = Vec::new();
    for variable in container.env.iter().flatten() {
        let Some(value) = &variable.value else {
            bail!("the variable {} is not spelt out, and only such ones are passed on", variable.name);
        };
        env.push((variable.name.clone(), value.clone()));
    }
    Ok(Launch { path: program.into(), args: args.to_vec(), env, cwd })
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}
