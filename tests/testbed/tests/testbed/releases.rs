//! Helm installs into a cluster.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::shared_cluster::shared_cluster;

#[tokio::test]
async fn helm_installs_upgrades_and_says_what_is_wrong() {
    let ns = "releases";
    let cluster = shared_cluster(ns).await;
    let chart = tempfile::tempdir().unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: tiny\nversion: 0.1.0\n").unwrap();
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tiny}\ndata: {word: {{ .Values.word }}}\n";
    std::fs::write(chart.path().join("templates/map.yaml"), template).unwrap();
    let path = chart.path().to_str().unwrap();

    let maps = Api::<ConfigMap>::namespaced(cluster.client(), ns);
    for word in ["one", "two"] {
        let set = format!("word={word}");
        cluster
            .helm(&["upgrade", "--install", "tiny", path, "-n", ns, "--wait", "--set", &set])
            .await
            .unwrap();
        assert_eq!(maps.get("tiny").await.unwrap().data.unwrap()["word"], word);
    }
    let error = cluster.helm(&["upgrade", "absent", path, "-n", ns]).await.unwrap_err().to_string();
    assert!(error.contains("has no deployed releases"), "{error}");
}
