//! The lists of errors as files, and the first error in them.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use velero::{BackupResults, DownloadTargetKind, ItemOperation};

use super::Unread;

/// A larger one, unpacked, is not read: 16 MiB hold more errors than anybody looks at.
const LARGEST: u64 = 16 << 20;
/// So many characters of an error are told.
const TOLD: usize = 400;

/// A file of a backup that may hold its errors. No other is ever asked for: what a backup contains has Secrets in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorFile {
    /// What went wrong while objects were saved.
    Results,
    /// What went wrong after that, such as a copy of a volume. It is not among the results.
    Operations,
}

impl ErrorFile {
    /// What Velero calls it.
    pub(super) fn kind(self) -> DownloadTargetKind {
        match self {
            Self::Results => DownloadTargetKind::BackupResults,
            Self::Operations => DownloadTargetKind::BackupItemOperations,
        }
    }

    /// The first error in it, fit to be told.
    pub(super) fn first_error(self, packed: &[u8]) -> Result<Option<String>, Unread> {
        let first = match self {
            Self::Results => read::<BackupResults>(packed)?.errors.first().map(told),
            Self::Operations => {
                read::<Vec<ItemOperation>>(packed)?.iter().find_map(ItemOperation::error).map(told)
            }
        };
        Ok(first)
    }
}

fn read<T: DeserializeOwned>(packed: &[u8]) -> Result<T, Unread> {
    let mut text = Vec::new();
    let mut unpacked = GzDecoder::new(packed).take(LARGEST + 1);
    unpacked.read_to_end(&mut text).map_err(|error| Unread::Malformed(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(Unread::Malformed(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    serde_json::from_slice(&text).map_err(|error| Unread::Malformed(error.to_string()))
}

/// On one line, without what could play with a terminal, and not too long.
fn told(error: &str) -> String {
    let visible = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= TOLD {
        return words;
    }
    words.chars().take(TOLD - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn first(file: ErrorFile, content: &Value) -> Option<String> {
        file.first_error(&packed(content.to_string().as_bytes())).expect("it can be read")
    }

    #[test]
    fn the_first_of_the_results_is_found() {
        let results = json!({
            "errors": { "namespaces": { "team-a": ["later"] }, "velero": [" name: /s1-pod\n message: /Error\u{1b}[31m", "b"] },
            "warnings": { "velero": ["not this"] },
        });
        assert_eq!(
            first(ErrorFile::Results, &results).as_deref(),
            Some("name: /s1-pod message: /Error [31m")
        );
        let in_namespace =
            json!({ "errors": { "namespaces": { "team-b": ["b"], "team-a": ["a"] } }, "warnings": {} });
        assert_eq!(first(ErrorFile::Results, &in_namespace).as_deref(), Some("a"));
        assert_eq!(first(ErrorFile::Results, &json!({ "errors": {}, "warnings": {} })), None);
    }

    #[test]
    fn the_first_operation_that_failed_is_found() {
        let operations = json!([
            { "spec": { "operationID": "1" }, "status": { "phase": "Completed" } },
            { "spec": { "operationID": "2" }, "status": { "phase": "Failed", "error": "no space left" } },
        ]);
        assert_eq!(first(ErrorFile::Operations, &operations).as_deref(), Some("no space left"));
        assert_eq!(first(ErrorFile::Operations, &json!([])), None);
    }

    #[test]
    fn a_long_one_is_cut() {
        let results = json!({ "errors": { "velero": ["ä".repeat(500)] } });
        let told = first(ErrorFile::Results, &results).expect("there is one");
        assert_eq!((told.chars().count(), told.ends_with("ä…")), (TOLD, true));
    }

    #[test]
    fn what_velero_does_not_write_is_an_error_and_not_told() {
        let refused = |bytes: &[u8]| {
            ErrorFile::Results.first_error(bytes).expect_err("it is no list of errors").to_string()
        };
        assert!(refused(b"<html>password</html>").contains("not as Velero writes it"));
        assert!(!refused(&packed(b"password")).contains("password"));
        assert!(refused(&packed(&vec![b' '; (16 << 20) + 1])).contains("larger than 16 MiB"));
    }
}
