//! Text → objects.

use serde_json::Value;

/// A text that is no manifest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ManifestError(String);

/// The objects of a text of YAML documents or JSON values, those within Lists included. An empty document is none.
///
/// # Errors
/// When it is neither YAML nor JSON, or holds something other than objects.
pub fn objects(text: &str) -> Result<Vec<Value>, ManifestError> {
    let documents: Vec<Value> = if text.trim_start().starts_with('{') {
        let documents = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>();
        documents.map_err(|error| ManifestError(error.to_string()))?
    } else {
        serde_saphyr::from_multiple(text).map_err(|error| ManifestError(error.to_string()))?
    };
    let mut objects = Vec::new();
    for document in documents {
        if !(document.is_object() || document.is_null()) {
            return Err(ManifestError(
                "it holds something that is no object with apiVersion and kind".to_owned(),
            ));
        }
        flatten(document, &mut objects);
    }
    Ok(objects)
}

fn flatten(document: Value, objects: &mut Vec<Value>) {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document {
        Value::Null => {}
        Value::Object(mut list) if is_list => {
            let items = list.remove("items").unwrap_or_default();
            items.as_array().into_iter().flatten().for_each(|item| flatten(item.clone(), objects));
        }
        object => objects.push(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        let objects = objects(text).expect(text);
        objects.iter().map(|object| object["kind"].as_str().unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn documents_and_lists_in_yaml_and_json() {
        let yaml = "# first\nkind: A\n---\n# nothing\n---\nkind: B\n---\napiVersion: v1\nkind: List\nitems:\n- kind: C\n\
                    - kind: DList\n  items: [{ kind: D }]\n";
        assert_eq!(kinds(yaml), ["A", "B", "C", "D"]);
        assert_eq!(kinds(r#"{"kind":"A"} {"kind":"List","items":[{"kind":"B"}]}"#), ["A", "B"]);
        assert_eq!(kinds(r#"{"kind":"List","items":[]}"#), [""; 0]);
        assert_eq!(kinds(""), [""; 0]);
    }

    #[test]
    fn what_is_neither_is_refused_with_its_place() {
        for text in ["kind: [", "{\"kind\": "] {
            assert!(objects(text).expect_err(text).to_string().contains("line"), "{text}");
        }
        for text in ["just = \"text\"\n", "- kind: A\n", "kind: A\n---\n7\n"] {
            assert!(objects(text).expect_err(text).to_string().contains("no object"), "{text}");
        }
    }
}
