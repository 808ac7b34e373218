//! What the API server has stored, read past it: each version of each object, in one order.
//!
//! etcd keeps what was written for two hours at least (then the API server has old versions compacted), through
//! restarts of the API server and of its own. So nothing that was ever written escapes whoever reads this, as it
//! can escape a watch. Custom resources only: they are stored as JSON, the built-in kinds are not.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http_body_util::BodyExt;
use hyper::Request;
use k8s_openapi::ByteString;
use kube::client::Body;
use kube::{Client, Config};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::wait::until;

/// How long etcd may take to answer, and to tell a history.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a rewrite is tried when others write the same object meanwhile.
const TRIES: u32 = 20;

/// The objects of one custom resource, as etcd stores them.
#[derive(Debug)]
pub struct Store<'a> {
    cluster: &'a Cluster,
    prefix: String,
}

/// All objects at one moment, by `namespace/name`.
#[derive(Debug, Clone)]
pub struct Stored {
    /// That moment, in etcd's count of writes.
    pub revision: i64,
    /// The objects.
    pub objects: BTreeMap<String, Value>,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its place in etcd's count of writes.
    pub revision: i64,
    /// `namespace/name` of the object.
    pub name: String,
    /// The object since then; `None`: it is gone.
    pub object: Option<Value>,
}

impl Cluster {
    /// The objects of a custom resource, called `group/plural`, such as
    /// `snapshot.storage.k8s.io/volumesnapshots`.
    #[must_use]
    pub fn store(&self, resource: &str) -> Store<'_> {
        Store { cluster: self, prefix: format!("/registry/{resource}/") }
    }
}

impl Store<'_> {
    /// All objects as they are now.
    ///
    /// # Errors
    /// When etcd does not answer, or a value is not JSON.
    pub async fn now(&self) -> Result<Stored> {
        let range = json!({ "key": bytes(&self.prefix), "range_end": bytes(&self.end('0')) });
        let found: Found = self.ask("/v3/kv/range", &range).await?;
        let objects = found.kvs.iter().map(|kv| Ok((self.name(kv)?, object(kv)?)));
        Ok(Stored { revision: found.header.revision, objects: objects.collect::<Result<_>>()? })
    }

    /// All writes after that revision up to now, in their order.
    ///
    /// # Errors
    /// When etcd does not answer, or the revision is compacted away.
    pub async fn since(&self, revision: i64) -> Result<Vec<Change>> {
        // Beyond the last key that the API server could have: when it comes, all before it have come.
        let mark = self.end('0') + "testbed";
        let put = json!({ "key": bytes(&mark), "value": bytes("") });
        let _: Value = self.ask("/v3/kv/put", &put).await?;
        let watch = json!({ "create_request": {
            "key": bytes(&self.prefix), "range_end": bytes(&self.end('1')), "start_revision": revision + 1,
        }});
        let reading = self.read(&watch, &mark);
        tokio::time::timeout(PATIENCE, reading).await.context("etcd does not tell its history to the end")?
    }

    async fn read(&self, watch: &Value, mark: &str) -> Result<Vec<Change>> {
        let request = Request::post("/v3/watch").body(Body::from(serde_json::to_vec(watch)?))?;
        let mut body = self.client()?.send(request).await.context("watch etcd")?.into_body();
        let (mut unread, mut changes) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            unread.extend_from_slice(&data);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                let Told { result } = serde_json::from_slice(&line).context("read a line of etcd's")?;
                ensure!(!result.canceled, "etcd: {}", String::from_utf8_lossy(&line));
                for event in result.events {
                    let gone = event.r#type.as_deref() == Some("DELETE");
                    if event.kv.key.0 != mark.as_bytes() {
                        let object = if gone { None } else { Some(object(&event.kv)?) };
                        let (revision, name) = (event.kv.mod_revision, self.name(&event.kv)?);
                        changes.push(Change { revision, name, object });
                    } else if !gone {
                        let _: Value = self.ask("/v3/kv/deleterange", &json!({ "key": bytes(mark) })).await?;
                        return Ok(changes);
                    }
                }
            }
        }
        bail!("etcd ended its history early")
    }

    /// Changes an object, called `namespace/name`, where it is stored. The API server and all who watch take it as
    /// any other write. For what only the API server sets, such as `creationTimestamp`: an object from last month
    /// is otherwise had by waiting for a month. `change` may be made twice.
    ///
    /// # Errors
    /// When there is no such object.
    pub async fn rewrite(&self, name: &str, change: impl Fn(&mut Value)) -> Result<()> {
        let key = bytes(&format!("{}{name}", self.prefix));
        for _ in 0..TRIES {
            let found: Found = self.ask("/v3/kv/range", &json!({ "key": key })).await?;
            let kv = found.kvs.first().with_context(|| format!("there is no {}{name}", self.prefix))?;
            let mut object = object(kv)?;
            change(&mut object);
            let value = ByteString(serde_json::to_vec(&object)?);
            let unchanged = json!({
                "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": kv.mod_revision.to_string(),
            });
            let put = json!({ "request_put": { "key": key, "value": value } });
            let done: Value =
                self.ask("/v3/kv/txn", &json!({ "compare": [unchanged], "success": [put] })).await?;
            if done["succeeded"] == true {
                return Ok(());
            }
        }
        bail!("{}{name} changes all the time", self.prefix)
    }

    /// The prefix with its last character, a slash, replaced by one that sorts after it.
    fn end(&self, last: char) -> String {
        format!("{}{last}", self.prefix.trim_end_matches('/'))
    }

    fn name(&self, kv: &KeyValue) -> Result<String> {
        let key = std::str::from_utf8(&kv.key.0)?;
        Ok(key.strip_prefix(&self.prefix).context("etcd answers what it was asked")?.to_owned())
    }

    fn client(&self) -> Result<Client> {
        // Any HTTP client does, and this one is there.
        Ok(Client::try_from(Config::new(self.cluster.control_plane().etcd_url().parse()?))?)
    }

    /// Asks until etcd answers. It may have done what it could not tell in time: all that is asked may be done twice.
    async fn ask<T: DeserializeOwned>(&self, path: &str, question: &Value) -> Result<T> {
        let (client, question) = (self.client()?, serde_json::to_vec(question)?);
        let asked = until("etcd to answer", PATIENCE, || async {
            let request = Request::post(path).body(question.clone())?;
            Ok(Some(client.request(request).await?))
        });
        asked.await.with_context(|| format!("ask etcd {path}"))
    }
}

pub(crate) fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

fn object(kv: &KeyValue) -> Result<Value> {
    serde_json::from_slice(&kv.value.0).context("a custom resource is stored as JSON")
}

#[derive(Deserialize)]
struct Found {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(deserialize_with = "number")]
    revision: i64,
}

#[derive(Deserialize)]
struct KeyValue {
    key: ByteString,
    #[serde(deserialize_with = "number")]
    mod_revision: i64,
    #[serde(default)]
    value: ByteString,
}

#[derive(Deserialize)]
struct Told {
    result: Batch,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    /// Absent: a put.
    r#type: Option<String>,
    kv: KeyValue,
}

/// etcd writes 64-bit numbers as text.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}
