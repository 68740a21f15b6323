//! Paths that git takes.

use gix::bstr::{BStr, ByteSlice};

/// Whether git takes a file of this path, and checks it out.
pub(crate) fn is_allowed(path: &BStr, is_link: bool) -> bool {
    use gix::validate::path::component;
    let options = component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    let mode = is_link.then_some(component::Mode::Symlink);
    !path.contains(&0)
        && path.split_str("/").all(|name| gix::validate::path::component(name.into(), mode, options).is_ok())
}
