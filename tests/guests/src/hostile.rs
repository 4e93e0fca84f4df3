//! Runs into limits.

use crate::host::cluster::{self, Cluster};
use crate::host::site::{Level, Site};
use crate::{Seen, number, option};

#[expect(clippy::print_stdout, reason = "output is one of the things it floods")]
pub(crate) fn act(site: &Site, what: &str) -> Option<Seen> {
    let n = number(site, "n");
    match what {
        "loop" => spin(),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "recurse" => return Some(vec![("depth".into(), deep(n as u64).to_string())]),
        "allocate" => return Some(vec![("bytes".into(), allocate().to_string())]),
        "flood-log" => (0..n).for_each(|n| site.log(Level::Info, &format!("line {n}"))),
        "long-line" => site.log(Level::Warn, &"x".repeat(n)),
        "escape" => {
            site.log(Level::Info, "a\u{1b}[2Jb\nforged: line");
            println!("out\u{1b}[31m");
            eprintln!("err\u{202e}");
            return Some(vec![("esc".into(), "a\u{1b}b".into())]);
        }
        "flood-stdout" => (0..n).for_each(|n| println!("line {n}")),
        "huge-string" => site.log(Level::Info, &"x".repeat(9 << 20)),
        "flood-stderr" => (0..n).for_each(|_| eprint!("no end of this line ")),
        "denials" => {
            let cluster = open(site)?;
            let name = "x".repeat(number(site, "bytes"));
            (0..n).for_each(|_| {
                let _ = cluster.indices(&name);
            });
        }
        "json-nested" => {
            // Each level is looked at anew by whoever parses level by level.
            let cluster = open(site)?;
            let query = format!(
                "{}{}{}",
                "[".repeat(90),
                "0,".repeat(500_000) + "0",
                "]".repeat(90)
            );
            (0..n).for_each(|_| {
                let _ = cluster.count("a-1", Some(&query));
            });
        }
        "json-keys" => {
            let cluster = open(site)?;
            let members: Vec<String> = (0..60_000).map(|n| format!("\"k{n}\":{{}}")).collect();
            let query = format!("{{{}}}", members.join(","));
            (0..n).for_each(|_| {
                let _ = cluster.count("a-1", Some(&query));
            });
        }
        "divide" => {
            let zero = std::hint::black_box(0_u32);
            return Some(vec![(
                "never".into(),
                (std::hint::black_box(1) / zero).to_string(),
            )]);
        }
        "null-function" => null_function(),
        "outside-memory" => outside_memory(),
        "huge-answer" => return Some(vec![("huge".into(), "x".repeat(9 << 20))]),
        "many-facts" => return Some((0..n).map(|n| (format!("f{n}"), String::new())).collect()),
        "trap" => panic!("the guest panics on purpose"),
        "exit" => std::process::exit(7),
        "handles" => {
            let kept: Vec<Cluster> = (0..n).filter_map(|_| open(site)).collect();
            return Some(vec![("kept".into(), kept.len().to_string())]);
        }
        "forged-handle" => forge(),
        "host-calls" => (0..n).for_each(|_| {
            site.now();
        }),
        "read-loop" => {
            let cluster = open(site)?;
            (0..n).for_each(|_| {
                let _ = cluster.health();
            });
        }
        "read-bytes" => {
            let cluster = open(site)?;
            (0..n).for_each(|_| {
                let _ = cluster.mappings("a-big");
            });
        }
        _ => return None,
    }
    Some(vec![("done".into(), option(site, "n"))])
}

/// Calls what is no function.
#[expect(unsafe_code, reason = "it calls what is no function")]
fn null_function() {
    // SAFETY: none; the runtime must notice.
    let function: fn() = unsafe { std::mem::transmute(std::hint::black_box(0x00ff_ffff_usize)) };
    function();
}

/// Writes where no memory is.
#[expect(unsafe_code, reason = "it writes where nothing is")]
fn outside_memory() {
    let at = std::ptr::without_provenance_mut::<u8>(std::hint::black_box(0xffff_0000));
    // SAFETY: none; the runtime must notice.
    unsafe { at.write_volatile(1) };
}

fn open(site: &Site) -> Option<Cluster> {
    cluster::open(site, "cluster.database").ok()
}

fn spin() {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

/// Not a tail call, so each level takes its frame.
fn deep(n: u64) -> u64 {
    if n == 0 {
        0
    } else {
        1 + std::hint::black_box(deep(std::hint::black_box(n - 1)))
    }
}

fn allocate() -> usize {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(vec![1; 1 << 20]);
        if std::hint::black_box(kept.len()) == usize::MAX {
            return kept.len();
        }
    }
}

#[expect(unsafe_code, reason = "it forges a handle")]
fn forge() {
    // SAFETY: none; the host must notice that there is no such handle.
    let forged = unsafe { Cluster::from_handle(4321) };
    let _ = forged.health();
}
