//! Disk space kept back, so that what was begun can be concluded on a full disk.

use std::fs;
use std::io::{self, Read};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::JournalError;
use crate::place::{Place, open_file};

/// What a byte of body can cost: once in the write-ahead log, once in the database when the log
/// is carried over.
const COPIES: u64 = 2;

/// What rows cost beside their bodies: 256 KiB. A row touches at most a leaf of the table, a leaf
/// of the index and a page split of each, 4 KiB pages, in both files: 64 KiB for two rows; the
/// shared-memory file grows by 32 KiB; the rest is room for the file system's own blocks.
const OVERHEAD_BYTES: u64 = 256 * 1024;

/// Keeps room for `body_bytes` of rows; 0 gives it back.
///
/// The room is real blocks where the file system has `fallocate`, else zeros. On one that copies
/// on write or compresses neither is a promise; it is what can be had.
pub(crate) fn keep(place: &Place, body_bytes: u64) -> Result<(), JournalError> {
    let path = place.reserve();
    if body_bytes == 0 {
        return match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(JournalError::io("remove", &path, e))
            }
            _ => Ok(()),
        };
    }
    let wanted = body_bytes
        .saturating_mul(COPIES)
        .saturating_add(OVERHEAD_BYTES);
    let mut file = open_file(&path)?;
    let had = file
        .metadata()
        .map_err(|e| JournalError::io("look at", &path, e))?
        .len();
    if had >= wanted {
        return Ok(());
    }
    let grown = match fallocate(&file, FallocateFlags::empty(), 0, wanted) {
        Err(Errno::OPNOTSUPP) => write_zeros(&mut file, wanted),
        other => other.map_err(io::Error::from),
    }
    .and_then(|()| file.sync_all());
    grown.map_err(|e| {
        // What was kept for steps in flight stays kept.
        let shrunk = file.set_len(had);
        match JournalError::io("keep room in", &path, shrunk.err().unwrap_or(e)) {
            JournalError::DiskFull { path, .. } => JournalError::DiskFull {
                path,
                bytes_needed: Some(wanted - had),
            },
            other => other,
        }
    })
}

fn write_zeros(file: &mut fs::File, wanted: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(wanted), file).map(|_| ())
}

/// Lets the room go, because the disk is full and rows must be written.
pub(crate) fn release(place: &Place) -> Result<(), JournalError> {
    keep(place, 0)
}
