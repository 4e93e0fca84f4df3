//! Rehearsals: the plan performed on other targets with the same data, and what is known of the real one from that.
//!
//! | module | what |
//! |---|---|
//! | `apart` | nothing real is touched |
//! | `fill` | the command that fills its targets |
//! | `record` | what a rehearsal came to: the certificate, as a file |
//! | `fit` | whether it still fits a plan, and the time that it gives |
//! | `disk` | how much the disks of nodes are filled meanwhile |

mod apart;
mod disk;
mod fill;
mod fit;
mod record;

pub(crate) use apart::{OnlyRead, check_plan, check_registered, check_targets};
pub(crate) use disk::DiskWatch;
pub(crate) use fill::fill;
pub(crate) use fit::{RehearsedData, Times, data, less_than_real, unlike};
pub(crate) use record::{Ended, conclude};
