//! Files and folders that tasks can write to: read without following their traps, and deleted without leaving half of them.

pub(crate) mod mounted;
pub(crate) mod ordinary;
pub(crate) mod paths;
pub(crate) mod remove_tree;
pub(crate) mod rename_aside;
