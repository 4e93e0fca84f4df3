//! One directory of the site.

use super::{Change, Condition, Directory, Hunk, Reading};
use crate::Result;
use crate::bindings::liftlock::upgrade::{disk, disk_changes};
use crate::site::Site;

impl Directory {
    /// The handle of a binding: `disk.config`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        disk::open(site, binding)
    }

    /// Proposes to keep a copy of the file in the host's state directory.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn keep(&self, name: &str) -> Result<Change> {
        disk_changes::keep(self, name)
    }

    /// Proposes to copy a file from here; refuses to replace one there.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn copy_to(&self, name: &str, to: &Directory, as_name: &str) -> Result<Change> {
        disk_changes::copy(self, name, to, as_name)
    }

    /// Proposes a new file, at most 1 MiB.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn write(&self, name: &str, text: &str) -> Result<Change> {
        disk_changes::write(self, name, text)
    }

    /// Proposes edits of the file that has this hash; each `old` stands exactly once in it.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn edit(&self, name: &str, sha256: &str, hunks: &[Hunk]) -> Result<Change> {
        disk_changes::edit(self, name, sha256, hunks)
    }

    /// Proposes to remove the file that has this hash.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn remove(&self, name: &str, sha256: &str) -> Result<Change> {
        disk_changes::remove(self, name, sha256)
    }

    /// The file has this hash.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn file_has(&self, name: &str, sha256: &str) -> Result<Condition> {
        disk_changes::file_has(self, name, sha256)
    }

    /// So many bytes are free.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn free_at_least(&self, bytes: u64) -> Result<Condition> {
        disk_changes::free_at_least(self, bytes)
    }

    /// To capture: the file's hash.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_sha256(&self, name: &str) -> Result<Reading> {
        disk_changes::read_sha256(self, name)
    }
}
