//! The ids of the trees that an index was made from, which git keeps in it so that it need not write them again
//! for the next commit: the extension `TREE` of gitformat-index(5).

use gix::ObjectId;

use crate::error::GitError;

/// No tree of this depth can be checked out.
const MAX_DEPTH: usize = 1024;

/// The content of the extension for the index of a whole tree; empty when there is none for it.
pub(super) fn of(repo: &gix::Repository, tree: ObjectId) -> Result<Vec<u8>, GitError> {
    let mut content = Vec::new();
    let is_whole = add(repo, tree, b"", 0, &mut content)?.is_some();
    if !is_whole {
        content.clear();
    }
    Ok(content)
}

/// Adds a tree and those below it. Gives how many entries of the index are in it; `None` where it is too deep.
fn add(
    repo: &gix::Repository,
    id: ObjectId,
    name: &[u8],
    depth: usize,
    content: &mut Vec<u8>,
) -> Result<Option<usize>, GitError> {
    if depth > MAX_DEPTH {
        return Ok(None);
    }
    let tree = repo.find_tree(id)?;
    let mut below = Vec::new();
    let (mut entries, mut trees) = (0, 0);
    for entry in tree.iter() {
        let entry = entry?;
        if entry.mode().is_tree() {
            let Some(inside) = add(repo, entry.oid().to_owned(), entry.filename(), depth + 1, &mut below)? else {
                return Ok(None);
            };
            entries += inside;
            trees += 1;
        } else {
            entries += 1;
        }
    }
    content.extend_from_slice(name);
    content.extend_from_slice(format!("\0{entries} {trees}\n").as_bytes());
    content.extend_from_slice(id.as_slice());
    content.append(&mut below);
    Ok(Some(entries))
}
