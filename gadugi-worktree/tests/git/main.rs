//! `GitWorktrees` on real repositories, checked with real git.

mod again;
mod aside;
mod create;
mod discover;
mod ground;
mod hostile;
mod import;
mod isolate;
mod isolated;
mod isolated_killed;
mod killed;
mod like_git;
mod needs;
mod process;
mod prune;
mod release;
mod snapshot;
mod together;
mod untrusted;
