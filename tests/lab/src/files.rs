//! Files that are ours alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::IoContext;
use crate::error::LabError;

/// Writes a file that only its owner can read, from its first byte on.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<(), LabError> {
    // Emptied and closed to others before the text goes in.
    fs::write(file, "").doing("write", file)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).doing("protect", file)?;
    fs::write(file, text).doing("write", file)
}
