//! Where the story is played, and what differs there.

use std::time::Duration;

use double::Options;
use stage::Rhythm;

use super::belongings;
use super::first_look::{AgentTier, Look};

/// Where the story is played.
pub(super) enum Venue {
    /// On a cluster that came up for it.
    Own,
    /// On a person's cluster, of which this is known.
    Guest(Look),
}

/// The template that the sandboxes follow where AgentTier is played.
pub(super) const TEMPLATE: &str = "general-coding";

impl Venue {
    /// Where the sandboxes are.
    pub(super) fn namespace(&self) -> &'static str {
        match self {
            Self::Own => "team-a",
            Self::Guest(_) => belongings::NAME,
        }
    }

    /// The `ClusterSandboxTemplate` that they follow.
    pub(super) fn template(&self) -> &str {
        match self {
            Self::Guest(Look { agenttier: AgentTier::Installed { template }, .. }) => template,
            Self::Own | Self::Guest(_) => TEMPLATE,
        }
    }

    /// Whether AgentTier is played by its double, warm pool and all.
    pub(super) fn plays_agenttier(&self) -> bool {
        matches!(self, Self::Own | Self::Guest(Look { agenttier: AgentTier::Played, .. }))
    }

    /// How the double is set up, where it plays.
    pub(super) fn double(&self) -> Options {
        match self {
            Self::Own => Options::default(),
            Self::Guest(_) => belongings::double(),
        }
    }

    /// Whether the files of volumes are on this machine.
    pub(super) fn has_files_here(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Guest(look) => look.has_files_here(),
        }
    }

    /// How often, and how long kept: short, so that a person can watch. In life it is hours and weeks. A cloud's
    /// storage takes minutes for a snapshot.
    pub(super) fn rhythm(&self) -> Rhythm {
        if self.has_files_here() {
            Rhythm { interval: "10s", max_age: "25s", keep_last: 2 }
        } else {
            Rhythm { interval: "2m", max_age: "5m", keep_last: 2 }
        }
    }

    /// How long anything may take.
    pub(super) fn patience(&self) -> Duration {
        if self.has_files_here() { Duration::from_mins(5) } else { Duration::from_mins(30) }
    }
}
