//! The sweep: an upgrade disturbed at every point, and what becomes of it judged.
//!
//! One uninterrupted run of a plan enumerates the gate's labelled points and the requests that the target sees.
//! Each position then begins with the site as it was, disturbs the run in one way at one place, lets process after
//! process come to its end, and asks three questions. Was anything lost: is the end another one than that of the
//! uninterrupted run, or was something sent that no journal knows of? Was anything repeated: sent again without a
//! probe that had said absent, or carried out more often? Was anything guessed: concluded, and the target shows
//! otherwise? What a person had to decide is counted apart, with the reason.
//!
//! The plugin runs in its sandbox, the cluster capability talks HTTP to the simulated cluster, the journal is on
//! the disk. A process is a runner on a thread and a runtime of its own; ending it drops all of it.
//!
//! | module | what |
//! |---|---|
//! | `sweep` | the loop, on as many worlds as there are cores |
//! | `broken` | gates without one of their rules |
//! | `site` | the seam: what a product gives to whoever disturbs runs on it |
//! | `script`, `parts` | a plan made once, and what a process that runs it is made of |
//! | `rolling` | what sweeps of rolling upgrades share |
//! | `camunda` | Camunda 7: simulated engines over a real database |
//! | `kuzzle` | Kuzzle: a simulated cluster whose nodes are simulated services; and one beside another |
//! | `ways` | the plans |
//! | `position` | where and how a run is disturbed |
//! | `reference` | the uninterrupted run |
//! | `perform` | one position, from its beginning to its verdict |
//! | `judge` | the three questions |
//! | `truth` | what the target itself shows of a change |
//! | `world`, `service` | the simulated site, put back for each position |
//! | `life` | one process: a runner that can be held, frozen and ended at any point |
//! | `image` | what a crash leaves at one moment |
//! | `between` | somebody between the gate and a capability |
//! | `watch`, `ledger` | what was sent and looked at, in order |
//! | `vendor` | the vendor's upgrader, which outlives the host |
//! | `guest` | the plugin, loaded once |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod between;
pub mod broken;
pub mod camunda;
pub mod guest;
pub mod image;
pub mod judge;
pub mod kuzzle;
pub mod ledger;
pub mod life;
pub mod parts;
pub mod perform;
pub mod position;
pub mod reference;
pub mod rolling;
pub mod script;
pub mod service;
pub mod site;
pub mod sweep;
pub mod truth;
pub mod vendor;
pub mod watch;
pub mod ways;
pub mod world;
