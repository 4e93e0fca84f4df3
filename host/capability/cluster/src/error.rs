//! What goes wrong before anything is asked.

/// A cluster that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The site's entry is wrong.
    #[error("{0}")]
    Config(String),
    /// A file that it names cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Certificate, key or proxy are not usable.
    #[error("cannot use {what}")]
    Client {
        /// What.
        what: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
}
