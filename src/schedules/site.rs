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
            Self::VeleroForbidden(what) => format!("a right is missing: {what}"),
            Self::VeleroUnseen(what) => format!("not seen yet: {what}"),
            Self::VeleroServerMissing { namespace } => format!(
                "there is no Deployment {SERVER} in namespace {namespace}; where Velero is in another one, set \
                 optional.backup.velero.namespace in the chart's values"
            ),
            Self::VeleroTooOld { release } => {
                format!("Velero {release} is too old; {OLDEST} or newer is needed. Schedules are left as they are")
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
    let servers = sight.servers.seen().unwrap_or_default();
    let args = servers
        .iter()
        .flat_map(|server| containers(server))
        .flat_map(|container| container.args.iter().flatten());
    let mut given = args.filter_map(|arg| arg.strip_prefix("--concurrent-backups=")?.parse().ok());
    given.next().filter(|at_once| *at_once > 0).unwrap_or(1)
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
            Self::LocationMissing(name) => format!("there is no BackupStorageLocation {name}"),
            Self::NoDefaultLocation => {
                "no BackupStorageLocation is Velero's default; name one in spec.velero.storageLocation".into()
            }
            Self::LocationUnavailable { name, message } => {
                format!("the BackupStorageLocation {name} is unavailable: {message}")
            }
            Self::LocationReadOnly(name) => format!("the BackupStorageLocation {name} is read-only"),
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
