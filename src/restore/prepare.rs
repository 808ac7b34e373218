//! From what is asked for to where it comes from: the source and the recovery point.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, ResourceExt};

use super::error::RestoreError;
use super::order::Order;
use super::origin::Origin;
use super::point::find_point;
use super::source::Source;
use super::unchosen::Unchosen;
use crate::agenttier::{Sandbox, SandboxSpec};

/// One restore: where it comes from, and what to make of it.
#[derive(Debug)]
pub struct Restore {
    /// What was asked for.
    pub order: Order,
    /// The recovery point and the source, which stay the same for all who go on with it.
    pub origin: Origin,
    /// The source as it is now. Once the target exists it is not needed any more, and may be gone.
    pub(super) source: Option<Source>,
}

impl Order {
    /// Finds the source and the recovery point; of a restore that has begun, those that it began with, also when
    /// there is a newer point by now.
    ///
    /// # Errors
    /// When one is missing, when it cannot be told which point is meant, or when what has begun is another restore.
    pub async fn prepare(self, client: &Client) -> Result<Restore, RestoreError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &self.namespace);
        let (source, claim) = futures::try_join!(
            async {
                let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), &self.namespace);
                let source = sandboxes.get_opt(&self.sandbox).await;
                source.map_err(|error| RestoreError::api(format!("read sandbox {:?}", self.sandbox), error))
            },
            async {
                let claim = claims.get_opt(&self.target.claim()).await;
                claim.map_err(|error| RestoreError::api("read volume claims", error))
            },
        )?;
        if let Some(begun) = claim.and_then(|claim| Origin::read(claim.annotations())) {
            // One that is gone may come back under its own name: then this is what the restore has made.
            let source = source.filter(|source| !begun.made(source.annotations()));
            self.goes_on_with(&begun, source.as_ref())?;
            let source = match source {
                Some(living) => Some(Source::living(living)),
                None => match begun.recorded(client, &self).await {
                    // It may not be needed any more.
                    Err(RestoreError::NoRecord { .. }) => None,
                    recorded => Some(recorded?),
                },
            };
            return Ok(Restore { order: self, origin: begun, source });
        }
        let gone = Sandbox::new(&self.sandbox, SandboxSpec::default());
        let point = match find_point(client, &self, source.as_ref().unwrap_or(&gone)).await {
            Err(RestoreError::Unchosen(Unchosen::NoPoint { .. })) if source.is_none() => {
                return Err(RestoreError::no_sandbox(&self));
            }
            found => found?,
        };
        let living = source.as_ref().and_then(ResourceExt::uid);
        let source = match source {
            Some(living) => Source::living(living),
            None => Source::recorded(client, &self, &point.name, point.record.as_deref()).await?,
        };
        let origin = Origin {
            point: point.name,
            point_uid: point.uid,
            taken_at: point.taken_at,
            sandbox: self.sandbox.clone(),
            sandbox_uid: living.or(point.sandbox_uid).unwrap_or_default(),
            record: point.record,
        };
        Ok(Restore { order: self, origin, source: Some(source) })
    }

    /// Whether what has begun is what is asked for now.
    fn goes_on_with(&self, begun: &Origin, source: Option<&Sandbox>) -> Result<(), RestoreError> {
        let same_sandbox = self.sandbox == begun.sandbox
            && source.is_none_or(|source| source.uid().as_deref() == Some(begun.sandbox_uid.as_str()));
        let same_point = self.from.as_ref().is_none_or(|from| *from == begun.point)
            && self.as_of.is_none_or(|as_of| begun.taken_at <= as_of);
        if same_sandbox && same_point {
            return Ok(());
        }
        let is_earlier_one = self.sandbox == begun.sandbox && !same_sandbox;
        Err(RestoreError::BegunOtherwise {
            target: self.target.to_string(),
            point: begun.point.clone(),
            sandbox: begun.sandbox.clone(),
            go_on: (!is_earlier_one).then(|| self.command(&begun.sandbox)),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::order::tests::order;
    use super::*;

    fn sandbox(name: &str, uid: &str) -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox",
            "metadata": { "name": name, "uid": uid }, "spec": {},
        }))
        .expect("a sandbox")
    }

    fn begun() -> Origin {
        Origin {
            point: "p1".into(),
            point_uid: "u7".into(),
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            sandbox: "s1".into(),
            sandbox_uid: "u1".into(),
            record: None,
        }
    }

    /// `begun` is from second 0.
    fn as_of(second: i64) -> Order {
        let as_of = jiff::Timestamp::from_second(second).expect("a moment");
        Order { as_of: Some(as_of), ..order("s1", None) }
    }

    #[test]
    fn the_same_order_goes_on() {
        for (order, source) in [
            (order("s1", None), Some(sandbox("s1", "u1"))),
            (order("s1", Some("p1")), Some(sandbox("s1", "u1"))),
            (order("s1", None), None),
            (as_of(0), Some(sandbox("s1", "u1"))),
        ] {
            assert!(order.goes_on_with(&begun(), source.as_ref()).is_ok(), "{order:?}");
        }
    }

    #[test]
    fn another_sandbox_or_point_does_not_and_what_would_is_said() {
        let other =
            order("s2", None).goes_on_with(&begun(), Some(&sandbox("s2", "u2"))).expect_err("refused");
        let go_on = "agenttier-backup --context east restore s1 -n team-a --as mix --start stopped";
        assert!(other.to_string().ends_with(go_on), "{other}");
        let point =
            order("s1", Some("p2")).goes_on_with(&begun(), Some(&sandbox("s1", "u1"))).expect_err("refused");
        assert!(point.to_string().ends_with(go_on), "{point}");
        let younger =
            as_of(-1).goes_on_with(&begun(), Some(&sandbox("s1", "u1"))).expect_err("of younger data");
        assert!(younger.to_string().ends_with(go_on), "{younger}");
        let namesake =
            order("s1", None).goes_on_with(&begun(), Some(&sandbox("s1", "u9"))).expect_err("refused");
        assert!(namesake.to_string().contains("an earlier sandbox \"s1\""), "{namesake}");
    }
}
