//! `backup`: a recovery point now.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::Cluster;
use super::output::{Format, Output};
use super::screen::Screen;
use super::velero::VeleroOptions;
use crate::backup::{Layer, Made, Progress, Target, of_namespace, of_sandbox, wait};
use crate::client::{Connection, Purpose};

/// Makes a recovery point now, without waiting for its turn: of a sandbox a snapshot of its
/// volume, of a namespace a backup by Velero of all its sandboxes.
///
/// A snapshot is one like the controller's own: it is kept and pruned as the policy says, and
/// where the time for one has come anyway no second one is taken. Pin it to keep it for longer. A
/// backup by Velero is made out of the namespace's Schedule, and kept as long as that says.
///
/// Where one is on its way already that will hold the same, no other one is made: the same
/// command may be run again. With --wait it ends well only when the recovery point is Ready, or
/// Completed with every volume that it should hold, as far as you may list claims and volumes;
/// interrupted, it leaves the backup going.
///
/// It runs with your own rights: creating volumesnapshots in the sandbox's namespace, or
/// backups.velero.io in Velero's.
///
/// Examples:
///   agenttier-backup backup s1 -n team-a               # of the sandbox s1
///   agenttier-backup backup team-a/s1 --wait           # the same, until it is Ready
///   agenttier-backup backup -n team-a --wait           # of the namespace team-a, by Velero
///   agenttier-backup backup team-a                     # the same, where no sandbox here is called so
///   agenttier-backup backup s1 -n team-a -o json       # its name for scripts
///   agenttier-backup list -n team-a                    # what became of it
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Backup {
    /// A sandbox, as NAMESPACE/NAME or with -n, or a namespace [default: the namespace of -n, or the context's]
    #[arg(value_name = "NAMESPACE|SANDBOX")]
    target: Option<String>,
    /// The namespace, or that of the sandbox
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
    /// Wait so many seconds at the most; the backup goes on
    #[arg(long, default_value_t = 3600, value_name = "SECONDS", requires = "wait")]
    timeout: u64,
    #[command(flatten)]
    velero: VeleroOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    made: Made,
    /// Where it is, where that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Backup {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let Connection { client, clock } = cluster.connect(Purpose::Calls).await?;
        let target = Target::find(&client, self.target.as_deref(), self.namespace.as_deref()).await?;
        let made = match &target {
            Target::Namespace(namespace) => {
                let warn = |warning: &str| eprintln!("warning: {warning}");
                Box::pin(of_namespace(&client, &clock, &self.velero.said(), namespace, warn)).await?
            }
            Target::Sandbox { namespace, name } => {
                Box::pin(of_sandbox(&client, &clock, namespace, name)).await?
            }
        };
        let mut report = Report { made, state: None };
        if self.wait {
            let screen = Screen::start(self.output.output == Format::Table);
            screen.say(&begun(&report.made));
            let limit = Duration::from_secs(self.timeout);
            let ended = wait(&client, &clock, &report.made, limit, |progress| match progress {
                Progress::At(state) => screen.step(state),
                Progress::Trouble(trouble) => screen.say(&format!("  {trouble}; trying again")),
            });
            let ended = tokio::select! {
                ended = ended => ended,
                _ = tokio::signal::ctrl_c() => {
                    screen.finish();
                    bail!("interrupted: {} goes on; {}", report.made.what(), report.made.look().join(", or "));
                }
            };
            screen.finish();
            report.state = Some(ended?);
        }
        self.output.print(&report, print)
    }
}

/// What was made, for people.
fn begun(made: &Made) -> String {
    let of = match (&made.sandbox, made.layer) {
        (Some(sandbox), _) => format!("sandbox {}/{sandbox}", made.namespace),
        (None, _) => format!("namespace {}", made.namespace),
    };
    let by = if made.layer == Layer::Velero { "Backup" } else { "snapshot" };
    let already = if made.already { "is on its way already" } else { "is begun" };
    format!("{by} {} of {of} {already}", made.name)
}

fn print(report: &Report) {
    println!("{}", told(report));
}

fn told(Report { made, state }: &Report) -> String {
    match state {
        Some(state) => format!("{} is {state}", made.what()),
        None => format!("{}; how it goes:\n  {}", begun(made), made.look().join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(already: bool, state: Option<&str>) -> Report {
        let made = Made {
            layer: Layer::Velero,
            namespace: "team-a".into(),
            sandbox: None,
            name: "east-team-a-20261120123005".into(),
            object_namespace: "velero".into(),
            already,
        };
        Report { made, state: state.map(str::to_owned) }
    }

    #[test]
    fn it_says_how_to_look() {
        assert_eq!(
            told(&report(false, None)),
            "Backup east-team-a-20261120123005 of namespace team-a is begun; how it goes:\n  agenttier-backup list -n \
             team-a\n  kubectl get backups.velero.io east-team-a-20261120123005 -n velero -o yaml"
        );
        assert!(told(&report(true, None)).contains("is on its way already"));
        assert_eq!(
            told(&report(false, Some("Completed"))),
            "Backup velero/east-team-a-20261120123005 is Completed"
        );
    }

    #[test]
    fn scripts_get_its_name() {
        let json = serde_json::to_value(report(false, Some("Completed"))).expect("JSON");
        assert_eq!(json["name"], "east-team-a-20261120123005");
        assert_eq!((&json["layer"], &json["state"]), (&"Velero".into(), &"Completed".into()));
    }
}
