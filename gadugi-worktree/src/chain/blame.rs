//! The branches that another one conflicts with.

use std::collections::BTreeSet;

use gadugi_core::merge::Link;
use gix::bstr::BString;

use super::add::{Adder, Onto, tree_of};
use super::generated::changed;
use crate::error::GitError;
use crate::repo::ids::to_object;

impl Adder<'_> {
    /// The names of the branches added earlier that a branch conflicts with: those that it conflicts with alone; else, since only
    /// several together conflict, all that have changed one of the files. None where it conflicts with the chain's start.
    pub(super) fn blame(&self, link: &Link, files: &[String]) -> Result<Vec<String>, GitError> {
        let start = Onto { commit: self.start, tree: tree_of(self.repo, self.start)? };
        if self.added.is_empty() || !self.merge(start, link)?.conflicts.is_empty() {
            return Ok(Vec::new());
        }
        let mut alone = Vec::new();
        let mut touching = Vec::new();
        for earlier in &self.added {
            let tip = to_object(&earlier.tip);
            let tree = tree_of(self.repo, tip)?;
            if !self.merge(Onto { commit: tip, tree }, link)?.conflicts.is_empty() {
                alone.push(earlier.name.clone());
            }
            let paths: BTreeSet<BString> = changed(self.repo, self.base_tree(earlier)?, tree)?;
            if files.iter().any(|file| paths.contains(file.as_bytes())) {
                touching.push(earlier.name.clone());
            }
        }
        Ok(if alone.is_empty() { touching } else { alone })
    }
}
