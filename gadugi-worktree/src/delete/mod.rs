//! Discarded work: kept in a trash for a while, and deleted in the background.

pub(crate) mod sweeper;
pub(crate) mod trash;
pub(crate) mod trash_refs;
