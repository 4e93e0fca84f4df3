//! Documents that a plugin changes itself on their way into another index: an export of its own, for plugins that do.

use serde_json::Value;

use crate::Plugin;

/// A plugin that changes documents, in steps that it makes by [`Cluster::transform`](crate::capability::Cluster::transform).
pub trait Transforming: Plugin {
    /// What a document becomes in the transformation of this name, or why it cannot be taken over.
    ///
    /// A pure function of its arguments: it runs without any handle, in an instance that ends with the batch. After a
    /// crash the host may ask again, and says so where the answer is another one than before. `source` is an object, and
    /// so must be what is made of it.
    ///
    /// # Errors
    /// Why the document is rejected, for people. What becomes of the step then, the plan says.
    fn transform(name: &str, id: &str, source: Value) -> std::result::Result<Value, String>;
}

/// What `wit-bindgen` makes of the optional export.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "transforming",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_transforming",
        default_bindings_module: "liftlock_sdk::transforming::bindings",
        with: {
            "liftlock:upgrade/types@0.1.0": crate::bindings::liftlock::upgrade::types,
        },
    });
}

use bindings::exports::liftlock::upgrade::transform::{Document, Guest};

impl<P: Transforming> Guest for P {
    fn transform(name: String, batch: Vec<Document>) -> Vec<std::result::Result<Document, String>> {
        let one = |document: Document| {
            let source = serde_json::from_str(&document.source).map_err(|e| e.to_string())?;
            let made = P::transform(&name, &document.id, source)?;
            Ok(Document {
                id: document.id,
                source: made.to_string(),
            })
        };
        batch.into_iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::Descriptor;
    use crate::finding::Finding;
    use crate::inventory::Inventory;
    use crate::run::Run;
    use crate::site::Site;
    use crate::{Plan, Refusal, Result};

    struct Doubling;

    impl Plugin for Doubling {
        fn describe() -> Descriptor {
            unreachable!("not asked here")
        }

        fn inspect(_: &Site) -> Result<Inventory> {
            unreachable!("not asked here")
        }

        fn check(_: &Site, _: &Run, _: &crate::prelude::Target) -> Result<Vec<Finding>> {
            unreachable!("not asked here")
        }

        fn plan(
            _: &Site,
            _: &Run,
            _: &crate::prelude::Target,
            _: &Plan<'_>,
        ) -> std::result::Result<(), Refusal> {
            unreachable!("not asked here")
        }

        fn validate(_: &Site, _: &Run, _: &crate::prelude::Target) -> Result<Vec<Finding>> {
            unreachable!("not asked here")
        }
    }

    impl Transforming for Doubling {
        fn transform(name: &str, id: &str, source: Value) -> std::result::Result<Value, String> {
            assert_eq!(name, "double");
            let n = source["n"].as_i64().ok_or(format!("{id} has no number"))?;
            Ok(serde_json::json!({ "n": 2 * n }))
        }
    }

    #[test]
    fn each_document_keeps_its_place_and_its_id() {
        let document = |id: &str, source: &str| Document {
            id: id.into(),
            source: source.into(),
        };
        let batch = vec![
            document("a", r#"{"n":1}"#),
            document("b", "{}"),
            document("c", r#"{"n":3}"#),
        ];
        let made = <Doubling as Guest>::transform("double".into(), batch);
        let made: Vec<_> = made
            .into_iter()
            .map(|made| made.map(|document| (document.id, document.source)))
            .collect();
        assert_eq!(
            made,
            [
                Ok(("a".into(), r#"{"n":2}"#.into())),
                Err("b has no number".into()),
                Ok(("c".into(), r#"{"n":6}"#.into())),
            ]
        );
    }
}
