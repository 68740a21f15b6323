//! `GitWorktrees` on real repositories, checked with real git.

mod aside;
mod create;
mod discover;
mod ground;
mod like_git;
mod needs;
mod prune;
mod release;
mod snapshot;
mod together;
mod untrusted;
