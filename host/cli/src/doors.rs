//! Ways in for the fuzz targets: what reads a person's files, with nothing behind it.

use std::path::{Path, PathBuf};

use crate::grants;
use crate::site::Site;

/// `site.toml`: a site, or a mistake that can be drawn.
pub fn site(text: &str) {
    if let Err(failure) = Site::parse(PathBuf::from("site.toml"), text.to_owned()) {
        shown(&failure);
    }
}

/// `grants.toml`: what was read is what is read again after it was written, or a mistake that can be drawn.
pub fn grants(text: &str) {
    let file = Path::new("grants.toml");
    let list = match grants::parse(file, text) {
        Ok(list) => list,
        Err(failure) => return shown(&failure),
    };
    if let Ok(written) = grants::to_toml(&list) {
        let again = grants::parse(file, &written).ok();
        assert_eq!(again, Some(list), "a grant is another after it was written");
    }
}

/// A drawing steers no terminal.
fn shown(failure: &crate::failure::Failure) {
    let data = failure.data();
    let place = data.place.map(|place| place.drawing).unwrap_or_default();
    assert!(
        !place.chars().any(|c| c.is_control() && c != '\n'),
        "the drawing of a mistake steers a terminal"
    );
}
