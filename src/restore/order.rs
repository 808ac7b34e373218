//! What is to be restored.

use agenttier_backup_plan::restore::Start;
use jiff::Timestamp;

use super::target::Target;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Namespace of the recovery point, the source and the target.
    pub namespace: String,
    /// The Sandbox to restore: its data, and its spec.
    pub sandbox: String,
    /// The VolumeSnapshot to restore from, where one is named.
    pub from: Option<String>,
    /// That VolumeSnapshot may be of another sandbox's volume.
    pub from_other: bool,
    /// No data younger than this; where no VolumeSnapshot is named.
    pub as_of: Option<Timestamp>,
    /// The Sandbox to make.
    pub target: Target,
    /// Whether it is to run.
    pub start: Start,
    /// How the command line begins for whoever asked, up to the subcommand: errors say what to run instead.
    pub program: String,
}

impl Order {
    /// The command line that asks for a restore of this kind, of that sandbox.
    #[must_use]
    pub fn command(&self, sandbox: &str) -> String {
        let Self { program, namespace, target, .. } = self;
        let start = match self.start {
            Start::Running => "",
            Start::Stopped => " --start stopped",
        };
        format!("{program} restore {sandbox} -n {namespace} --as {target}{start}")
    }

    /// The command line that asks for this very restore.
    #[must_use]
    pub fn again(&self) -> String {
        let from = self.from.as_ref().map(|from| format!(" --from {from}")).unwrap_or_default();
        let other = if self.from_other { " --from-other" } else { "" };
        // A moment, however it was given: later the same length of time ago would be another one.
        let as_of = self.as_of.map(|as_of| format!(" --as-of {as_of}")).unwrap_or_default();
        self.command(&self.sandbox) + &from + other + &as_of
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::restore) fn order(sandbox: &str, from: Option<&str>) -> Order {
        Order {
            namespace: "team-a".into(),
            sandbox: sandbox.into(),
            from: from.map(Into::into),
            from_other: false,
            as_of: None,
            target: "mix".parse().expect("a name"),
            start: Start::Stopped,
            program: "agenttier-backup --context east".into(),
        }
    }

    #[test]
    fn what_is_to_be_run_again_is_the_same() {
        let plain = "agenttier-backup --context east restore s1 -n team-a --as mix --start stopped";
        assert_eq!(order("s1", None).again(), plain);
        let from = Order { from_other: true, ..order("s1", Some("p1")) };
        assert_eq!(from.again(), format!("{plain} --from p1 --from-other"));
        let as_of = Order { as_of: Some(Timestamp::UNIX_EPOCH), ..order("s1", None) };
        assert_eq!(as_of.again(), format!("{plain} --as-of 1970-01-01T00:00:00Z"));
    }
}
