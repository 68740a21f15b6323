//! Merges, driven on a repository in memory whose branches are names: which conflict, and on which sets the check fails, is
//! decided by the test.

mod crashes;
mod landing;
mod repository;
mod resolutions;
mod results;
