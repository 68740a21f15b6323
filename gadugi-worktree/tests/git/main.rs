//! `GitWorktrees` on real repositories, checked with real git.

mod again;
mod any_tree;
mod any_work;
mod aside;
mod attack;
mod bulk;
#[cfg(target_os = "linux")]
mod commit_limits;
mod create;
mod deleted;
mod discover;
mod elsewhere;
#[cfg(target_os = "linux")]
mod forecast;
mod gc;
mod hand_over;
mod harness;
mod hidden_work;
mod homes;
mod hostile;
mod hostile_objects;
mod import;
mod integration;
mod isolate;
mod isolated;
mod isolated_extras;
mod isolated_killed;
mod isolated_release;
mod isolated_staged;
mod killed;
mod landing;
mod landing_killed;
#[cfg(target_os = "linux")]
mod large;
mod like_git;
mod merge_chain;
mod merging;
mod mounted;
mod needs;
mod process;
mod programs;
mod prune;
mod release;
mod scarce;
mod seed;
mod snapshot;
mod space;
mod stashed;
mod stray;
mod sweeping;
mod together;
mod unsaved;
mod untouched;
mod untrusted;
