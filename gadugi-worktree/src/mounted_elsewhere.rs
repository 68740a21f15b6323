//! Where the system does not say what is mounted.

use std::path::{Path, PathBuf};

/// Nothing, since that is not known.
pub(crate) fn mount_in(_: &Path) -> Option<PathBuf> {
    None
}
