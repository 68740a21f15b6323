//! Work that goes on in a process of its own: this program once more.

mod landing;
mod sweep;

pub(crate) use self::landing::land_if_requested;
pub(super) use self::landing::landing_program;
pub(crate) use self::sweep::{foreign_files, sweep_if_requested};
