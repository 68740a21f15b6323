//! The choice of the writer for new worktrees: all that start from one tree are written in bulk, unless git has to make them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::index::entry::Mode;

use crate::create::bulk::{self, Layout, TreeSource};
use crate::error::GitError;
use crate::files::ordinary;
use crate::repo::{Repository, is_partial};

/// The plan for one tree.
#[derive(Clone)]
pub(crate) enum CheckoutPlan {
    /// The tree is written with the others.
    InBulk(Arc<TreeSource>),
    /// Git makes the worktree, for this reason.
    ByGit(Arc<str>),
}

/// The choice for the worktrees of one batch. A tree is decoded once.
pub(crate) struct CheckoutPlanner {
    /// The reason why git has to make all of them.
    everywhere: Option<Arc<str>>,
    /// The names of filters that have a command.
    filters: Vec<BString>,
    /// Whether line ends may have to be converted whatever the tree says.
    converts: bool,
    trees: HashMap<ObjectId, CheckoutPlan>,
}

impl CheckoutPlanner {
    /// Reads the configuration.
    pub(crate) fn of(repo: &gix::Repository, repository: &Repository) -> Result<Self, GitError> {
        let config = repo.config_snapshot();
        let sections = config.plumbing().sections_by_name("filter").into_iter().flatten();
        let filters: Vec<BString> =
            sections.filter_map(|section| section.header().subsection_name().map(BStr::to_owned)).collect();
        let is_crlf = |value: &BStr| value.eq_ignore_ascii_case(b"crlf");
        let mut converts = config.boolean("core.autocrlf").unwrap_or(false)
            || config.string("core.eol").is_some_and(|value| is_crlf(value.as_ref()));
        let mut everywhere = everywhere(repo, repository).map(str::to_owned);
        // They hold for every commit.
        for path in
            repo.attribute_global_paths()?.into_iter().chain([repo.common_dir().join("info").join("attributes")])
        {
            if let Ok(attributes) = ordinary::read(&path) {
                everywhere = everywhere.or_else(|| beyond_us(&attributes, &filters));
                converts |= asks_for_crlf(&attributes);
            }
        }
        Ok(Self { everywhere: everywhere.map(Into::into), filters, converts, trees: HashMap::new() })
    }

    /// The plan for the tree of this commit.
    pub(crate) fn plan(&mut self, repo: &gix::Repository, commit: ObjectId) -> Result<CheckoutPlan, GitError> {
        if let Some(why) = &self.everywhere {
            return Ok(CheckoutPlan::ByGit(Arc::clone(why)));
        }
        let tree = repo.find_commit(commit)?.tree_id()?.detach();
        if let Some(known) = self.trees.get(&tree) {
            return Ok(known.clone());
        }
        let way = match self.source(repo, tree)? {
            Ok(source) => CheckoutPlan::InBulk(Arc::new(source)),
            Err(why) => CheckoutPlan::ByGit(why.into()),
        };
        self.trees.insert(tree, way.clone());
        Ok(way)
    }

    /// The source to write from, or the reason why git has to do it.
    fn source(&self, repo: &gix::Repository, tree: ObjectId) -> Result<Result<TreeSource, String>, GitError> {
        let mut index = repo.index_from_tree(&tree)?;
        let mut converts = self.converts;
        for entry in index.entries() {
            let path = entry.path(&index);
            let is_attributes =
                path.strip_suffix(b".gitattributes").is_some_and(|above| matches!(above.last(), None | Some(b'/')));
            // Git does not follow one that is a link.
            if is_attributes && matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE) {
                let attributes = repo.find_object(entry.id)?;
                if let Some(why) = beyond_us(&attributes.data, &self.filters) {
                    return Ok(Err(why));
                }
                converts |= asks_for_crlf(&attributes.data);
            }
        }
        let is_sparse = repo.config_snapshot().boolean("core.sparseCheckout").unwrap_or(false);
        // Git and gix match a submodule in different ways with a pattern for folders.
        if is_sparse && index.entries().iter().any(|entry| entry.mode == Mode::COMMIT) {
            return Ok(Err("a sparse checkout has submodules in it".to_owned()));
        }
        if is_sparse {
            leave_out_sparse(repo, &mut index)?;
        }
        let layout = Layout::of(&index);
        if layout.depth > bulk::MAX_DEPTH {
            return Ok(Err(format!("it has folders that lie deeper than {}", bulk::MAX_DEPTH)));
        }
        if converts {
            for entry in index.entries().iter().filter(|entry| matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE))
            {
                if repo.find_header(entry.id)?.size() > bulk::MAX_HELD_FILE {
                    return Ok(Err("line ends may have to be converted in a large file".to_owned()));
                }
            }
        }
        Ok(Ok(TreeSource::new(tree, layout, index.into(), converts)))
    }
}

/// The reason why git has to make all worktrees of a repository, whatever is in them.
fn everywhere(repo: &gix::Repository, repository: &Repository) -> Option<&'static str> {
    if repo.config_snapshot().boolean("worktree.useRelativePaths").unwrap_or(false) {
        Some("worktree.useRelativePaths is set")
    } else if is_partial(repo) {
        Some("the repository is a partial clone")
    } else if is_shared(repo) {
        Some("core.sharedRepository is set")
    } else if has_post_checkout_hook(repo, repository) {
        Some("there is a post-checkout hook")
    } else {
        None
    }
}

/// Marks what a sparse checkout leaves out, as `git worktree add` does by the patterns of the worktree that it is called in.
fn leave_out_sparse(repo: &gix::Repository, index: &mut gix::index::State) -> Result<(), GitError> {
    let config = repo.config_snapshot();
    let file = repo.git_dir().join("info").join("sparse-checkout");
    let patterns = gix::worktree::sparse::read_patterns(repo.git_dir()).map_err(GitError::io("read", &file))?;
    if let Some(patterns) = patterns {
        use gix::ignore::glob::pattern::Case;
        let is_cone = config.boolean("core.sparseCheckoutCone").unwrap_or(false);
        let case = if repo.filesystem_options()?.ignore_case { Case::Fold } else { Case::Sensitive };
        gix::worktree::sparse::apply_patterns(index, &patterns, &file, is_cone, case)?;
    }
    Ok(())
}

/// Whether git gives its own files, and the folders of worktrees, to others than the umask does.
fn is_shared(repo: &gix::Repository) -> bool {
    let value = repo.config_snapshot().string("core.sharedRepository");
    value.is_some_and(|value| {
        !matches!(value.to_ascii_lowercase().as_slice(), b"umask" | b"false" | b"no" | b"off" | b"0")
    })
}

/// Whether a new worktree has a post-checkout hook. A relative folder of hooks is one in each worktree; the new one most likely
/// has the hooks of the known ones.
pub(crate) fn has_post_checkout_hook(repo: &gix::Repository, repository: &Repository) -> bool {
    let folders = match repo.config_snapshot().trusted_path("core.hooksPath") {
        Ok(Some(folder)) => [repository.work_tree(), repository.root()].map(|known| known.join(&folder)).to_vec(),
        _ => vec![repo.common_dir().join("hooks")],
    };
    folders.iter().any(|folder| is_executable(&folder.join("post-checkout")))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The first setting in a file of attributes that only git handles: `ident`, `working-tree-encoding`, or a filter.
fn beyond_us(attributes: &[u8], filters: &[BString]) -> Option<String> {
    words(attributes).find_map(|word| {
        if word == b"ident" {
            Some("the attribute `ident` is set".to_owned())
        } else if word.starts_with(b"working-tree-encoding=") {
            Some("the attribute `working-tree-encoding` is set".to_owned())
        } else {
            let name = word.strip_prefix(b"filter=")?;
            let is_configured = filters.iter().any(|filter| filter == name);
            is_configured.then(|| format!("the filter `{}` is configured", name.as_bstr()))
        }
    })
}

/// Whether a file of attributes asks for CRLF line ends in the checkout. Apart from the configuration, nothing else asks for a
/// conversion here.
fn asks_for_crlf(attributes: &[u8]) -> bool {
    words(attributes).any(|word| word == b"eol=crlf")
}

/// All words after a pattern or the name of a macro.
fn words(attributes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = attributes.lines().filter(|line| !line.trim_start().starts_with(b"#"));
    lines.flat_map(|line| line.fields().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_git_must_handle_are_found_among_others() {
        let filters = [BString::from("lfs")];
        for (text, why) in [
            ("*.c ident\n", "the attribute `ident` is set"),
            (
                "# text\n\n*.txt text working-tree-encoding=UTF-16LE eol=crlf",
                "the attribute `working-tree-encoding` is set",
            ),
            ("[attr]big filter=lfs -text\n", "the filter `lfs` is configured"),
            ("*.bin\tfilter=lfs diff=lfs merge=lfs -text\r\n", "the filter `lfs` is configured"),
        ] {
            assert_eq!(beyond_us(text.as_bytes(), &filters).as_deref(), Some(why), "{text}");
        }
    }

    #[test]
    fn attributes_that_change_nothing_on_the_way_to_a_file_are_no_reason_for_git() {
        let filters = [BString::from("lfs")];
        for text in ["* text=auto", "*.sh eol=lf", "ident text", "#*.c ident", "*.c -ident", "*.x filter=other"] {
            assert_eq!(beyond_us(text.as_bytes(), &filters), None, "{text}");
            assert!(!asks_for_crlf(text.as_bytes()), "{text}");
        }
        assert!(asks_for_crlf(b"*.bat text eol=crlf\n"));
    }
}
