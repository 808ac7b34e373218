//! Whether there is a Velero to work with.

use k8s_openapi::api::apps::v1::Deployment;
use semver::Version;
use serde::Serialize;
use velero::{BackupStorageLocation, LocationPhase, StorageAccessMode};

use crate::observe::{SERVER, VeleroSight};

/// The oldest release whose volume policies hold what ours says: it reads them strictly, and refuses `pvcPhase` before.
const OLDEST: Version = Version::new(1, 18, 0);

/// Why no Schedule is made. Names are stable: they are shown and alerted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Obstacle {
    /// The controller has not been told where Velero is.
    VeleroNotConfigured,
    /// Its kinds are not there.
    VeleroNotInstalled,
    /// A right is missing.
    VeleroForbidden(String),
    /// What is there has not been seen yet.
    VeleroUnseen(String),
    /// There is no server in the namespace.
    VeleroServerMissing {
        /// The namespace.
        namespace: String,
    },
    /// The server is of a release that is too old.
    VeleroTooOld {
        /// Its release.
        release: String,
    },
}

impl Obstacle {
    /// Its name.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VeleroNotConfigured => "VeleroNotConfigured",
            Self::VeleroNotInstalled => "VeleroNotInstalled",
            Self::VeleroForbidden(_) => "VeleroForbidden",
            Self::VeleroUnseen(_) => "VeleroUnseen",
            Self::VeleroServerMissing { .. } => "VeleroServerMissing",
            Self::VeleroTooOld { .. } => "VeleroTooOld",
        }
    }

    /// The same at length, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::VeleroNotConfigured => {
                "this controller works with no Velero: set optional.backup.velero.enabled in the chart's values".into()
            }
            Self::VeleroNotInstalled => "Velero's kinds (velero.io) are not installed in this cluster; it is picked up when \
                                         they are"
                .into(),
            Self::VeleroForbidden(what) => {
                format!("a right is missing, which the chart gives by a Role in Velero's namespace: {what}")
            }
            Self::VeleroUnseen(what) => format!("not seen yet: {what}"),
            Self::VeleroServerMissing { namespace } => format!(
                "there is no Deployment {SERVER} in namespace {namespace}; where Velero is in another one, set \
                 optional.backup.velero.namespace in the chart's values"
            ),
            Self::VeleroTooOld { release } => {
                format!("Velero {release} is too old; {OLDEST} or newer is needed. Schedules are neither made nor changed, but for \
                         stopping them")
            }
        }
    }
}

/// Whether Schedules can be made and kept.
///
/// # Errors
/// Says why not.
pub fn usable(sight: Option<&VeleroSight>) -> Result<(), Obstacle> {
    let sight = sight.ok_or(Obstacle::VeleroNotConfigured)?;
    if sight.absent {
        return Err(Obstacle::VeleroNotInstalled);
    }
    let hidden = || {
        let hidden = sight.hidden.iter().map(|(kind, why)| format!("{kind} ({why})"));
        hidden.collect::<Vec<_>>().join(", ")
    };
    let is_refused = [sight.servers.is_refused(), sight.schedules.is_refused(), sight.maps.is_refused()];
    if is_refused.contains(&true) {
        return Err(Obstacle::VeleroForbidden(hidden()));
    }
    let (Some(servers), Some(_), Some(_)) = (sight.servers.seen(), sight.schedules.seen(), sight.maps.seen())
    else {
        return Err(Obstacle::VeleroUnseen(hidden()));
    };
    let Some(server) = servers.first() else {
        return Err(Obstacle::VeleroServerMissing { namespace: sight.namespace.clone() });
    };
    // An image that does not tell is believed to be new enough.
    match release(server) {
        Some(release) if release < OLDEST => Err(Obstacle::VeleroTooOld { release: release.to_string() }),
        _ => Ok(()),
    }
}

/// Why what became of the Schedules cannot be told: the backups, or the locations, are not seen.
#[must_use]
pub(super) fn unread(sight: &VeleroSight) -> Option<Obstacle> {
    let why = |kind: &str| {
        let hidden = sight.hidden.iter().find(|(hidden, _)| *hidden == kind);
        hidden.map_or_else(|| kind.to_owned(), |(_, why)| format!("{kind} ({why})"))
    };
    let obstacle = |kind: &str, is_seen: bool, is_refused: bool| match (is_seen, is_refused) {
        (true, _) => None,
        (false, true) => Some(Obstacle::VeleroForbidden(why(kind))),
        (false, false) => Some(Obstacle::VeleroUnseen(why(kind))),
    };
    let (backups, locations) = (&sight.backups, &sight.locations);
    obstacle("backups.velero.io", backups.seen().is_some(), backups.is_refused()).or_else(|| {
        obstacle("backupstoragelocations.velero.io", locations.seen().is_some(), locations.is_refused())
    })
}

fn containers(server: &Deployment) -> impl Iterator<Item = &k8s_openapi::api::core::v1::Container> {
    let pod = server.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.into_iter().flat_map(|pod| &pod.containers)
}

/// The release that the tag of the server's image tells, without what comes after major, minor and patch.
fn release(server: &Deployment) -> Option<Version> {
    let container =
        containers(server).find(|container| container.name == SERVER).or(containers(server).next())?;
    let image = container.image.as_deref()?.split('@').next()?;
    let (_, tag) = image.rsplit('/').next()?.split_once(':')?;
    let mut parts = tag.trim_start_matches('v').split(['.', '-', '+']).map(str::parse);
    let mut part = || parts.next()?.ok();
    Some(Version::new(part()?, part()?, part().unwrap_or(0)))
}

/// How many backups the server makes at once: its flag `--concurrent-backups`, which is 1 where it is not given.
#[must_use]
pub fn backups_at_once(sight: &VeleroSight) -> u32 {
    let given = flag(sight, "--concurrent-backups").and_then(|given| given.parse().ok());
    given.filter(|at_once| *at_once > 0).unwrap_or(1)
}

/// Whether the server snapshots CSI volumes: without `--features=EnableCSI` it leaves them out without a word, and its backups
/// are Completed (Velero 1.18, `ShouldSkipAction`). A server that is not seen is believed to.
#[must_use]
pub fn takes_csi_snapshots(sight: &VeleroSight) -> bool {
    let is_seen = sight.servers.seen().is_some_and(|servers| !servers.is_empty());
    // A shell, or a variable: what comes of it is not to be seen here.
    let is_seen = is_seen && !words(sight).any(|word| word.contains(' ') || word.contains("$("));
    let features =
        || flag(sight, "--features").is_some_and(|given| given.split(',').any(|one| one == "EnableCSI"));
    !is_seen || features()
}

/// The words of the server's command line.
fn words(sight: &VeleroSight) -> impl Iterator<Item = &str> {
    let servers = sight.servers.seen().unwrap_or_default().iter();
    let server = servers.filter_map(|server| {
        containers(server).find(|container| container.name == SERVER).or(containers(server).next())
    });
    let words = server.flat_map(|container| [&container.command, &container.args]).flatten().flatten();
    words.map(String::as_str)
}

/// The value of a flag on the server's command line, as `--flag=value` or as two words; the last one counts.
fn flag<'a>(sight: &'a VeleroSight, flag: &str) -> Option<&'a str> {
    let mut value = None;
    let mut words = words(sight);
    while let Some(word) = words.next() {
        match word.strip_prefix(flag) {
            Some("") => value = words.next(),
            Some(rest) if rest.starts_with('=') => value = Some(&rest[1..]),
            _ => {}
        }
    }
    value
}

/// What is wrong with the location that a policy's backups go to. Names are stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocationTrouble {
    /// There is none of that name.
    LocationMissing(String),
    /// None is Velero's default.
    NoDefaultLocation,
    /// Velero cannot reach it.
    LocationUnavailable {
        /// Its name.
        name: String,
        /// What Velero says.
        message: String,
    },
    /// Backups may only be read from it.
    LocationReadOnly(String),
}

impl LocationTrouble {
    /// Its name.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::LocationMissing(_) => "LocationMissing",
            Self::NoDefaultLocation => "NoDefaultLocation",
            Self::LocationUnavailable { .. } => "LocationUnavailable",
            Self::LocationReadOnly(_) => "LocationReadOnly",
        }
    }

    /// The same at length.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::LocationMissing(name) => {
                format!(
                    "there is no BackupStorageLocation {name}, which spec.velero.storageLocation names: make it, or name another"
                )
            }
            Self::NoDefaultLocation => {
                "no BackupStorageLocation is Velero's default; name one in spec.velero.storageLocation".into()
            }
            Self::LocationUnavailable { name, message } => {
                let said = if message.is_empty() { "Velero does not say why" } else { message };
                format!(
                    "the BackupStorageLocation {name} is unavailable, and no backup is made meanwhile: {said}"
                )
            }
            Self::LocationReadOnly(name) => format!(
                "the BackupStorageLocation {name} is read-only: set its accessMode to ReadWrite, or name another one in \
                 spec.velero.storageLocation"
            ),
        }
    }
}

/// Whether backups can be put where a policy wants them. `None` also where the locations cannot be seen.
#[must_use]
pub fn location_trouble(sight: &VeleroSight, wanted: Option<&str>) -> Option<LocationTrouble> {
    let locations = sight.locations.seen()?;
    let name = |location: &BackupStorageLocation| location.metadata.name.clone().unwrap_or_default();
    let found = match wanted {
        Some(wanted) => locations.iter().find(|location| name(location) == wanted),
        // Velero takes the one marked as default; before there was that mark, the one called default.
        None => locations
            .iter()
            .find(|location| location.spec.default == Some(true))
            .or_else(|| locations.iter().find(|location| name(location) == "default")),
    };
    let Some(location) = found else {
        return Some(wanted.map_or(LocationTrouble::NoDefaultLocation, |wanted| {
            LocationTrouble::LocationMissing(wanted.to_owned())
        }));
    };
    let status = location.status.as_ref();
    if location.spec.access_mode == Some(StorageAccessMode::ReadOnly) {
        return Some(LocationTrouble::LocationReadOnly(name(location)));
    }
    (status.and_then(|status| status.phase.as_ref()) == Some(&LocationPhase::Unavailable)).then(|| {
        let message = status.and_then(|status| status.message.clone()).unwrap_or_default();
        LocationTrouble::LocationUnavailable { name: name(location), message }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::observe::Holding;

    fn server(container: &Value) -> VeleroSight {
        let server = json!({
            "metadata": { "name": "velero" },
            "spec": { "selector": {}, "template": { "spec": { "containers": [container] } } },
        });
        let server = serde_json::from_value(server).expect("a Deployment");
        let mut sight = VeleroSight::of_schedules("velero", vec![]);
        sight.servers = Holding::Seen(vec![Arc::new(server)]);
        sight
    }

    #[test]
    fn flags_are_read_in_both_forms_wherever_they_stand() {
        let at_once = |args: Value| backups_at_once(&server(&json!({ "name": "velero", "args": args })));
        assert_eq!(at_once(json!(["server", "--concurrent-backups=4"])), 4);
        assert_eq!(at_once(json!(["server", "--concurrent-backups", "3", "--x"])), 3);
        for none in [json!(["server"]), json!(["--concurrent-backups=0"]), json!(["--concurrent-backups"])] {
            assert_eq!(at_once(none), 1);
        }
        let command = json!({ "name": "velero", "command": ["/velero", "server", "--concurrent-backups=2"] });
        assert_eq!(backups_at_once(&server(&command)), 2);
    }

    #[test]
    fn without_the_feature_no_volume_is_snapshotted() {
        let takes = |args: Value| takes_csi_snapshots(&server(&json!({ "name": "velero", "args": args })));
        assert!(takes(json!(["server", "--features=EnableCSI"])));
        assert!(takes(json!(["server", "--features", "Other,EnableCSI"])));
        assert!(!takes(json!(["server", "--features="])));
        assert!(!takes(json!(["server", "--features=EnableCSIx"])));
        assert!(!takes(json!(["server"])));
        assert!(takes(json!(["server", "--features=", "--features=EnableCSI"])), "the last one counts");
        assert!(takes(json!(["-c", "exec velero server --features=EnableCSI"])), "who knows");
        assert!(takes(json!(["server", "--features=$(FEATURES)"])), "who knows");
        let mut unseen = server(&json!({ "name": "velero" }));
        unseen.servers = Holding::Unseen;
        assert!(takes_csi_snapshots(&unseen));
    }

    #[test]
    fn the_release_is_read_off_the_image() {
        let of = |image: &str| {
            let sight = server(&json!({ "name": "velero", "image": image }));
            release(&sight.servers.seen().expect("seen")[0]).map(|release| release.to_string())
        };
        assert_eq!(of("velero/velero:v1.18.3").as_deref(), Some("1.18.3"));
        assert_eq!(of("registry.example:5000/velero:v1.17.2-rc.1@sha256:00").as_deref(), Some("1.17.2"));
        assert_eq!(of("registry.example:5000/velero:main"), None);
        assert_eq!(of("registry.example:5000/velero"), None);
    }
}
