//! What is to be backed up.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::error::BackupError;
use crate::agenttier::Sandbox;
use crate::api_error::{is_forbidden, sentence};

/// What is to be backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All of a namespace's sandboxes, by Velero.
    Namespace(String),
    /// One sandbox, by a snapshot.
    Sandbox {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Yes,
    No,
    /// Whoever asks may not know.
    Perhaps,
}

impl Target {
    /// What a word and a namespace that were given mean, as far as they say it themselves.
    fn said(word: Option<&str>, namespace: Option<&str>) -> Option<Self> {
        let sandbox = |namespace: &str, name: &str| {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            Some(Self::Sandbox { namespace, name })
        };
        match (word, namespace) {
            (Some(word), None) => word.split_once('/').and_then(|(namespace, name)| sandbox(namespace, name)),
            (Some(word), Some(namespace)) => sandbox(namespace, word),
            (None, Some(namespace)) => Some(Self::Namespace(namespace.to_owned())),
            (None, None) => None,
        }
    }

    /// Finds what is meant. A word alone may be a namespace, or a sandbox in the context's namespace; what is both is not
    /// guessed.
    ///
    /// # Errors
    /// When there is neither, or both, or the API server cannot be asked.
    pub async fn find(
        client: &Client,
        word: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, BackupError> {
        if let Some(target) = Self::said(word, namespace) {
            return Ok(target);
        }
        let here = client.default_namespace().to_owned();
        let Some(word) = word else { return Ok(Self::Namespace(here)) };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), &here);
        let (namespace, sandbox) = futures::join!(namespaces.get_opt(word), sandboxes.get_opt(word));
        Self::of(word, &here, there("read namespaces", namespace)?, there("read sandboxes", sandbox)?)
    }

    fn of(word: &str, here: &str, namespace: There, sandbox: There) -> Result<Self, BackupError> {
        let (word, here) = (word.to_owned(), here.to_owned());
        match (namespace, sandbox) {
            (There::Yes, There::Yes) => Err(BackupError::Ambiguous { word, namespace: here }),
            (There::No, There::No) => Err(BackupError::NoSuchTarget { word, namespace: here }),
            (_, There::Yes) | (There::No, There::Perhaps) => {
                Ok(Self::Sandbox { namespace: here, name: word })
            }
            (There::Yes | There::Perhaps, There::No | There::Perhaps) => Ok(Self::Namespace(word)),
        }
    }
}

fn there<K>(doing: &str, found: kube::Result<Option<K>>) -> Result<There, BackupError> {
    match found {
        Ok(Some(_)) => Ok(There::Yes),
        Ok(None) => Ok(There::No),
        Err(error) if is_forbidden(&error) => Ok(There::Perhaps),
        Err(error) => {
            Err(BackupError::Api { doing: doing.to_owned(), said: sentence(&error), hint: String::new() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(namespace: &str, name: &str) -> Target {
        Target::Sandbox { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn what_is_said_is_not_looked_up() {
        assert_eq!(Target::said(Some("s1"), Some("team-a")), Some(sandbox("team-a", "s1")));
        assert_eq!(Target::said(Some("team-a/s1"), None), Some(sandbox("team-a", "s1")));
        assert_eq!(Target::said(None, Some("team-a")), Some(Target::Namespace("team-a".into())));
        assert_eq!(Target::said(Some("s1"), None), None);
    }

    #[test]
    fn what_could_be_both_is_not_guessed() {
        let find = |namespace, sandbox| Target::of("x", "here", namespace, sandbox);
        let error = find(There::Yes, There::Yes).expect_err("both").to_string();
        assert!(error.contains("-n x") && error.contains("here/x"), "{error}");
        let error = find(There::No, There::No).expect_err("neither").to_string();
        assert!(error.contains("no namespace x") && error.contains("NAMESPACE/x"), "{error}");
        let namespace = || Target::Namespace("x".into());
        assert_eq!(find(There::Yes, There::No).expect("one"), namespace());
        assert_eq!(find(There::Yes, There::Perhaps).expect("one"), namespace());
        assert_eq!(find(There::No, There::Yes).expect("one"), sandbox("here", "x"));
        assert_eq!(find(There::Perhaps, There::Yes).expect("one"), sandbox("here", "x"));
    }
}
