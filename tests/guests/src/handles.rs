//! Forges, leaks and misuses handles, and hands over memory that is not what it says.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Seen;
use crate::host::cluster::{self, Cluster};
use crate::host::disk::Directory;
use crate::host::draft::{Change, Draft, Phase, Step};
use crate::host::site::{Level, Site};
use crate::host::types::Error;
use crate::host::{cluster_changes, disk};

/// A handle that an earlier call left here, if a call has a memory at all.
static KEPT: AtomicU32 = AtomicU32::new(0);

/// What the allocator does for the host, which asks it for room for each answer.
static ALLOCATOR: AtomicU32 = AtomicU32::new(HONEST);

const HONEST: u32 = 0;
const LOOPS: u32 = 1;
const LIES: u32 = 2;
const CALLS_BACK: u32 = 3;

struct Allocator;

#[global_allocator]
static GLOBAL: Allocator = Allocator;

#[expect(unsafe_code, reason = "an allocator is unsafe by its contract")]
// SAFETY: none where a test asked for that; the host must not depend on it.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match ALLOCATOR.load(Ordering::Relaxed) {
            LOOPS => loop {
                std::hint::black_box(());
            },
            // At the end of the address space, where no room of any size is.
            LIES => std::ptr::without_provenance_mut(0xffff_fff0),
            CALLS_BACK => {
                ALLOCATOR.store(HONEST, Ordering::Relaxed);
                // SAFETY: as above: it is borrowed to whoever calls now.
                let site = unsafe { Site::from_handle(KEPT.load(Ordering::Relaxed)) };
                site.now();
                std::mem::forget(site);
                // SAFETY: handed on.
                unsafe { System.alloc(layout) }
            }
            // SAFETY: handed on.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What is done with handles in an inspection.
#[expect(unsafe_code, reason = "it forges handles and texts")]
pub(crate) fn act(site: &Site, what: &str) -> Option<Seen> {
    let open = || cluster::open(site, "cluster.database").ok();
    let mut seen = Seen::new();
    match what {
        "handle-closed-twice" => {
            let cluster = open()?;
            let handle = cluster.handle();
            drop(cluster);
            // SAFETY: none, here and below; the host must notice.
            drop(unsafe { Cluster::from_handle(handle) });
        }
        "handle-after-close" => {
            let cluster = open()?;
            let handle = cluster.handle();
            drop(cluster);
            let _ = unsafe { Cluster::from_handle(handle) }.health();
        }
        "handle-of-another-type" => {
            let handle = open()?.take_handle();
            let _ = unsafe { Directory::from_handle(handle) }.entries();
        }
        "handle-of-the-way-in" => {
            let _ = unsafe { Cluster::from_handle(site.handle()) }.health();
        }
        "handle-each-number" => {
            // The first that is not there ends the call; none of those that are is a cluster.
            for handle in 0..64 {
                let forged = unsafe { Cluster::from_handle(handle) };
                let _ = forged.indices("*");
                std::mem::forget(forged);
            }
        }
        "handle-of-the-way-in-closed" => drop(unsafe { Site::from_handle(site.handle()) }),
        "handle-kept" => {
            let kept = KEPT.swap(site.handle(), Ordering::Relaxed);
            if kept != 0 {
                let stale = unsafe { Site::from_handle(kept) };
                seen.push(("kept".into(), stale.name()));
            }
            seen.push(("kept-number".into(), kept.to_string()));
            return Some(seen);
        }
        "handles-leaked" => {
            // Not closed, and the call ends well: the next one must not see them.
            (0..1_000).filter_map(|_| open()).for_each(std::mem::forget);
            return Some(vec![("leaked".into(), "1000".into())]);
        }
        "text-no-utf8" => {
            let bytes = std::hint::black_box([0xff, 0xfe, 0x80, b'a']);
            site.log(Level::Info, unsafe {
                std::str::from_utf8_unchecked(&bytes)
            });
        }
        "answer-no-utf8" => {
            let bytes = vec![b'"', 0xff, 0xc0, b'"'];
            return Some(vec![(
                unsafe { String::from_utf8_unchecked(bytes) },
                "x".into(),
            )]);
        }
        "text-outside-memory" => {
            let at = std::ptr::without_provenance(0xffff_ff00);
            site.log(Level::Info, unsafe { text(at, 0x1000) });
        }
        "text-longer-than-memory" => {
            site.log(Level::Info, unsafe { text([b'x'].as_ptr(), 0x7fff_ffff) });
        }
        "list-longer-than-memory" => {
            let names: Vec<String> = Vec::new();
            let names = unsafe { std::slice::from_raw_parts(names.as_ptr(), 0x0800_0000) };
            let _ = cluster_changes::quiet(&open()?, names);
        }
        "enum-outside" => {
            let level: Level = unsafe { std::mem::transmute(77_u8) };
            site.log(level, "x");
        }
        "allocator-loops" => allocator(site, LOOPS),
        "allocator-lies" => allocator(site, LIES),
        "allocator-calls-back" => allocator(site, CALLS_BACK),
        _ => return None,
    }
    seen.push(("done".into(), what.into()));
    Some(seen)
}

/// # Safety
/// None: the text is not there.
#[expect(unsafe_code, reason = "it forges a text")]
unsafe fn text<'a>(at: *const u8, bytes: usize) -> &'a str {
    // SAFETY: the caller wants it not to be.
    unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(at, bytes)) }
}

/// Asks for a text, for which the host needs room.
fn allocator(site: &Site, mode: u32) {
    KEPT.store(site.handle(), Ordering::Relaxed);
    ALLOCATOR.store(mode, Ordering::Relaxed);
    let name = site.name();
    ALLOCATOR.store(HONEST, Ordering::Relaxed);
    std::hint::black_box(name);
}

/// What is done with handles while planning.
#[expect(unsafe_code, reason = "it forges handles")]
pub(crate) fn plan(site: &Site, into: &Draft, what: &str) -> Option<Result<(), Error>> {
    Some(match what {
        "change-used-twice" => (|| {
            let on = cluster::open(site, "cluster.database")?;
            let change = cluster_changes::delete_index(&on, "a-1", "u")?;
            let handle = change.handle();
            into.step("a", Phase::Contract, "A")?.does(change)?;
            // SAFETY: none; it was given away.
            let again = unsafe { Change::from_handle(handle) };
            into.step("b", Phase::Contract, "B")?.does(again)
        })(),
        "change-of-another-type" => (|| {
            let config = disk::open(site, "disk.config")?;
            // SAFETY: none; it is a directory.
            let change = unsafe { Change::from_handle(config.take_handle()) };
            into.step("a", Phase::Contract, "A")?.does(change)
        })(),
        "step-forged" => {
            // SAFETY: none; there is no such step.
            let step = unsafe { Step::from_handle(4_000) };
            step.hands_over("x")
        }
        "step-after-close" => (|| {
            let step = into.step("a", Phase::Contract, "A")?;
            let handle = step.handle();
            drop(step);
            // SAFETY: none; it was closed.
            unsafe { Step::from_handle(handle) }.hands_over("x")
        })(),
        _ => return None,
    })
}
