//! The settings of `gadugi merge`: the table `[merge]` of the configuration.

use std::collections::BTreeMap;

use gadugi_core::merge::Strategy;

use crate::config::setting::settings;
use crate::parse::kind::{Kind, SCRIPT, TEXT};

const STRATEGY: Kind<Strategy> = Kind::text("`\"merge\"`, `\"squash\"` or `\"rebase\"`", |fields, key, _| {
    let words = &["merge", "squash", "rebase"];
    fields.word(key, words, &[Strategy::Merge, Strategy::Squash, Strategy::Rebase])
});

const RESOLVER: Kind<String> =
    Kind::text("`\"author\"`", |fields, key, _| fields.word(key, &["author"], &[()]).map(|()| "author".to_owned()));

/// Scripts by names.
const SCRIPTS: Kind<BTreeMap<String, String>> = Kind::text("table", |fields, key, example| {
    let entries = fields.table(key, example)?;
    let line = fields.at_key(key).line;
    let mut fields = fields.nested(line, entries);
    let script = |entry: &crate::parse::document::Entry| {
        Some((entry.key.clone(), fields.script(&entry.key, "\"cargo update --workspace\"")?))
    };
    Some(entries.iter().filter_map(script).collect())
});

settings! {
    /// The keys of the table `[merge]`, in the order of the docs.
    table pub MERGE_KEYS;

    /// The settings of merges that one source makes. `None` leaves a setting to the sources before it.
    #[derive(Debug, Clone, PartialEq, Default)]
    layer pub MergeLayer { fields pub, };

    /// All settings of merges, merged from all sources.
    #[derive(Debug, Clone, PartialEq)]
    settings MergeConfig {};

    only {}

    /// Branch that the work of tasks is merged into.
    ///
    /// Without it, the branch that the run started from; if that was no branch, the one that is checked out.
    into: String => Option<String> = TEXT { without: "the branch that the run started from", example: "\"main\"" };

    /// How a branch is merged: `"merge"` (a merge commit for each), `"squash"` (one commit for each) or `"rebase"` (its commits
    /// once more).
    strategy: Strategy = STRATEGY { default: "\"merge\"", example: "\"squash\"" };

    /// Script that decides whether merged files are sound. It runs in a worktree of its own, as the check of a task does.
    ///
    /// What it changes there is thrown away. Without it, everything lands that merges as text.
    check: String => Option<String> = SCRIPT { example: "\"cargo test\"" };

    /// Agent that resolves conflicts and failed checks: `"author"`, the agent of each task, in its own conversation.
    ///
    /// Without it, and for tasks without an agent, what cannot land is left as it is.
    resolve: String => Option<String> = RESOLVER { example: "\"author\"" };

    /// Generated files, by a pattern of `.gitignore`, each with the script that makes them anew. They are never merged as text.
    regenerate: BTreeMap<String, String> = SCRIPTS {
        default: "{}", example: "{ \"Cargo.lock\" = \"cargo update --workspace\" }"
    };
}

impl Default for MergeConfig {
    fn default() -> Self {
        Self::settle(MergeLayer::defaults())
    }
}
