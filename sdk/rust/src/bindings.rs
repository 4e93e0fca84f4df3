//! What `wit-bindgen` makes of the contract. Authors use the [`prelude`](crate::prelude) and never this module.
#![expect(
    missing_docs,
    reason = "generated; the contract's own comments are its documentation"
)]

wit_bindgen::generate!({
    world: "plugin",
    path: "../../wit",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "liftlock_sdk::bindings",
    additional_derives: [PartialEq],
});
