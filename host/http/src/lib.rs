//! What every HTTP sender of the host shares, so that there is one rule of each kind.
//!
//! | module | what |
//! |---|---|
//! | `address` | which network addresses a name may lead to |
//! | `path` | how names become a path that means the same |
//! | `trust` | whom a TLS server is trusted by, if nobody says otherwise |
//! | `lost` | what a failed request says of whether it was sent |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod address;
mod lost;
mod path;
mod trust;

pub use address::{Guarded, is_refused};
pub use lost::Lost;
pub use path::{ApiPath, PathError, encode};
pub use trust::trusting_machine;
