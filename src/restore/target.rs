//! The name of the sandbox that a restore makes.

use std::fmt;
use std::str::FromStr;

use crate::agenttier::{pod_name, workspace_claim};

/// The longest name that a pod's host, and the value of a label, can have.
const LONGEST: usize = 63;

/// A name that a Sandbox can have, with all that AgentTier makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

/// Why a Sandbox cannot have a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It has characters that Kubernetes does not allow.
    #[error(
        "{0:?} cannot be the name of a sandbox: lower-case letters, digits and '-' are allowed, and a letter or \
         digit at both ends; choose another with --as"
    )]
    NoLabel(String),
    /// What AgentTier makes of it would be too long.
    #[error(
        "{name:?} is too long for the name of a sandbox: AgentTier's {made:?} would have {} characters, and {LONGEST} \
         is the limit of the labels that it is written to; choose one of at most {} characters with --as",
        .made.len(), LONGEST - (.made.len() - .name.len())
    )]
    TooLong {
        /// The name.
        name: String,
        /// The longest that AgentTier makes of it.
        made: String,
    },
}

impl Target {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The claim that AgentTier looks for.
    #[must_use]
    pub fn claim(&self) -> String {
        workspace_claim(&self.0)
    }

    /// The pod that AgentTier makes.
    #[must_use]
    pub fn pod(&self) -> String {
        pod_name(&self.0)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(name: &str) -> Result<Self, TargetError> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.starts_with('-') || name.ends_with('-') || !name.chars().all(inner) {
            return Err(TargetError::NoLabel(name.to_owned()));
        }
        let target = Self(name.to_owned());
        let longest = [target.claim(), target.pod()].into_iter().max_by_key(String::len).unwrap_or_default();
        if longest.len() > LONGEST {
            return Err(TargetError::TooLong { name: target.0, made: longest });
        }
        Ok(target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_leaves_room_for_what_agenttier_adds() {
        for name in ["s1", "1", "a-b", &"x".repeat(53)] {
            assert_eq!(name.parse::<Target>().expect(name).as_str(), name);
        }
        for name in ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a b"] {
            assert_eq!(name.parse::<Target>(), Err(TargetError::NoLabel(name.into())));
        }
    }

    #[test]
    fn which_limit_is_said() {
        let error = "x".repeat(54).parse::<Target>().expect_err("too long").to_string();
        assert!(error.contains("-workspace\" would have 64 characters, and 63 is the limit"), "{error}");
        assert!(error.ends_with("choose one of at most 53 characters with --as"), "{error}");
    }
}
