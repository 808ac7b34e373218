//! Of what a backup has put into the store, the controller may ask for the errors, and for nothing that holds Secrets.

use agenttier_backup::api::{BACKUP_ERRORS, FIELD_MANAGER};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use testbed::Testbed;
use testbed::progress::Console;

use super::rights::{account, denied};
use super::site::{RELEASE, cluster, folder, install, installed, namespace};
use crate::place::eventually;

const VELERO: &str = "velero";
const GUARD: &str = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy";

/// Requests for files of backups, in the hands of somebody.
struct Requests(Api<DynamicObject>);

impl Requests {
    fn of(client: Client) -> Self {
        let kind = ApiResource::erase::<velero::DownloadRequest>(&());
        Self(Api::namespaced_with(client, VELERO, &kind))
    }

    /// Asks for a file as the controller does.
    async fn ask(&self, name: &str, file: &str) -> kube::Result<DynamicObject> {
        let request = json!({
            "apiVersion": "velero.io/v1",
            "kind": "DownloadRequest",
            "metadata": { "name": name },
            "spec": { "target": { "kind": file, "name": "east-team-a-20261120020000" } },
        });
        self.0.patch(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(request)).await
    }

    async fn clear(&self) -> kube::Result<()> {
        self.0.delete(BACKUP_ERRORS, &DeleteParams::default()).await.map(drop)
    }

    /// That a request was refused for the file that it asks for, and by whom.
    async fn is_guarded(&self, file: &str) {
        match self.ask(BACKUP_ERRORS, file).await {
            Err(kube::Error::Api(status)) if is_guards(&status.message) => assert_eq!(status.code, 422),
            other => panic!("{file}: {other:?}"),
        }
    }
}

fn is_guards(message: &str) -> bool {
    message.contains(&format!("ValidatingAdmissionPolicy '{RELEASE}-{RELEASE}-backup-errors'"))
        && message.contains("other files of a backup hold Secrets")
}

#[tokio::test]
async fn it_asks_for_the_errors_of_a_backup_and_for_nothing_else() {
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let cluster = cluster("chart-backup-errors").await;
    namespace(&cluster.client(), VELERO).await;
    cluster.install_crds(&testbed.velero_crds().await.unwrap()).await.unwrap();
    install(&cluster, &["--set", "optional.backup.velero.enabled=true"]).await.unwrap();
    let controller = Requests::of(account(&cluster, RELEASE).await);

    // The API server takes a while to see a new right, and a new policy.
    eventually("the policy to be in force", || async {
        match controller.ask(BACKUP_ERRORS, "BackupContents").await {
            Ok(_) => {
                controller.clear().await?;
                Ok(None)
            }
            Err(kube::Error::Api(status)) if is_guards(&status.message) => Ok(Some(())),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await;
    for file in ["BackupResults", "BackupItemOperations"] {
        let asked = controller.ask(BACKUP_ERRORS, file).await.unwrap();
        assert_eq!(asked.data["spec"]["target"]["kind"], file);
        controller.0.get(BACKUP_ERRORS).await.unwrap();
        // Nor does one that is there become another.
        controller.is_guarded("BackupContents").await;
        controller.clear().await.unwrap();
    }
    for file in [
        "BackupContents",
        "BackupLog",
        "BackupResourceList",
        "BackupVolumeSnapshots",
        "BackupVolumeInfos",
        "CSIBackupVolumeSnapshots",
        "CSIBackupVolumeSnapshotContents",
        "RestoreLog",
        "RestoreResults",
        "RestoreResourceList",
    ] {
        controller.is_guarded(file).await;
    }
    // What RBAC says by name.
    denied("ask under another name", controller.ask("another", "BackupResults").await);
    denied("read another's answer", controller.0.get("another").await);
    denied("look for answers", controller.0.list(&ListParams::default()).await);
    let status = Patch::Merge(json!({ "status": { "downloadURL": "https://example.com" } }));
    let answered = controller.0.patch_status(BACKUP_ERRORS, &PatchParams::default(), &status).await;
    denied("answer itself", answered);
    // People ask for what they have a right to.
    let person = Requests::of(cluster.client());
    person.ask("mine", "BackupContents").await.unwrap();

    install(
        &cluster,
        &["--set", "optional.backup.velero.enabled=true,optional.backup.velero.readErrors=false"],
    )
    .await
    .unwrap();
    eventually("the right to be gone", || async {
        match controller.ask(BACKUP_ERRORS, "BackupResults").await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(())),
            Err(error) => Err(error.into()),
        }
    })
    .await;
    denied("read an answer", controller.0.get(BACKUP_ERRORS).await);
    denied("take a request away", controller.clear().await);
    let policies = Api::<ValidatingAdmissionPolicy>::all(cluster.client());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(cluster.client());
    let (params, is_ours) = (ListParams::default(), |name: String| name.contains(RELEASE));
    assert!(!policies.list(&params).await.unwrap().iter().any(|policy| is_ours(policy.name_any())));
    assert!(!bindings.list(&params).await.unwrap().iter().any(|binding| is_ours(binding.name_any())));
    cluster.stop().await.unwrap();
}

/// The right comes with what keeps it to the errors, or not at all.
#[tokio::test]
async fn where_nothing_can_guard_it_the_right_is_not_given() {
    let on = "optional.backup.velero.enabled=true";
    let off = "optional.backup.velero.readErrors=false";
    let parts =
        ["READ_BACKUP_ERRORS", "downloadrequests", "kind: ValidatingAdmissionPolicy\n", "PolicyBinding\n"];
    for (args, there) in [
        (&["--set", on, "--api-versions", GUARD][..], true),
        (&["--set", on], false),
        (&["--set", on, "--set", off, "--api-versions", GUARD], false),
        (&["--api-versions", GUARD], false),
    ] {
        let chart = folder("chart").display().to_string();
        let all = ["template", RELEASE, &chart, "-n", RELEASE, "--kube-version", "1.29"];
        let rendered = installed().helm(&[&all[..], args].concat()).await.unwrap();
        for part in parts {
            assert_eq!(rendered.contains(part), there, "{part} with {args:?}");
        }
    }
}
