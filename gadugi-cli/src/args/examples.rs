//! Examples at the end of each command's `--help`.

pub(super) const INIT: &str = "\
Examples:
  gadugi init           Write gadugi.toml with every setting and its default
  gadugi init --docker  Also write a Dockerfile for tasks, to edit and build";

pub(super) const IMAGE: &str = "\
Examples:
  gadugi image build                      Build the image of .gadugi/Dockerfile
  gadugi image pull debian:bookworm-slim  Pull an image before a run needs it";

pub(super) const IMAGE_BUILD: &str = "\
Examples:
  gadugi image build                                    Build the image of .gadugi/Dockerfile
  gadugi image build --file ci/Dockerfile --tag mine:1  Build another image
  gadugi image build --pull                             Start from the newest base images";

pub(super) const IMAGE_PULL: &str = "\
Examples:
  gadugi image pull                       Pull the configured image
  gadugi image pull debian:bookworm-slim  Pull a named image";

pub(super) const DOCTOR: &str = "\
Examples:
  gadugi doctor              Check the current repository
  gadugi -C ../other doctor  Check another one";

pub(super) const PLAN: &str = "\
Examples:
  gadugi plan tasks/                     Show what `gadugi run tasks/` would start, and when
  gadugi plan tasks/ --only fix-login    Show one task and those that it needs
  gadugi plan tasks/ --prompt fix-login  Print what the agent of a task will read";

pub(super) const RUN: &str = "\
Examples:
  gadugi run tasks/                                  Run every task file of a folder
  gadugi run 'tasks/*.md' -j 5 --timeout 1h          Run five at a time, each for an hour at most
  gadugi run -t \"Fix the flaky test\" --agent claude  Run one task for an agent, without a file
  gadugi run tasks/ --executor docker --pull         Run in containers; pull the image if needed
  gadugi run tasks/ --max-cost 5 --fail-fast         Stop at 5 USD, and after the first failure
  gadugi run tasks/ --detach                         Run in the background";

pub(super) const RESUME: &str = "\
Examples:
  gadugi resume                Resume the latest unfinished run
  gadugi resume 20261122-0833  Resume a run, named by a prefix of its id
  gadugi resume --detach       Resume in the background";

pub(super) const RETRY: &str = "\
Examples:
  gadugi retry                             Run again what did not succeed in the latest run
  gadugi retry fix-login -m \"Keep the API\"  Run one task again, with a message to its agent
  gadugi retry 20261122-0833 --from base   Start anew on the present base
  gadugi retry latest add-docs -m \"Add an example\"  Follow up on a task that has succeeded";

pub(super) const ATTACH: &str = "\
Examples:
  gadugi attach                Show the latest unfinished run
  gadugi attach latest --json  Print its events for a program";

pub(super) const PS: &str = "\
Examples:
  gadugi ps                List unfinished runs with their tasks
  gadugi ps --all          Also list finished runs
  gadugi ps latest --json  Print the latest run for a program";

pub(super) const LOGS: &str = "\
Examples:
  gadugi logs fix-login              Print all that the task has printed
  gadugi logs -f -n 20 fix-login     Print the last 20 lines, and follow
  gadugi logs fix-login --attempt 1  Print an earlier attempt";

pub(super) const SHOW: &str = "\
Examples:
  gadugi show fix-login                     Show how a task of the latest run stands
  gadugi show fix-login --run 20261122      Show the same task of an earlier run
  gadugi show fix-login --json              Print all of it for a program";

pub(super) const DIFF: &str = "\
Examples:
  gadugi diff fix-login              Show what the task has made so far
  gadugi diff --stat                 Show the changed files of each task of the latest run
  gadugi diff fix-login -- src/auth  Show only what has changed there
  gadugi diff fix-login | git apply  Take it over without its commits";

pub(super) const PR: &str = "\
Examples:
  gadugi pr --dry-run                Show what would be pushed and opened
  gadugi pr                          Publish all tasks of the latest run that have succeeded
  gadugi pr fix-login --ready        Open the pull request of a task ready for review
  gadugi pr --remote fork --base dev Push elsewhere, and propose it for another branch";

pub(super) const STOP: &str = "\
Examples:
  gadugi stop                   Stop the latest unfinished run
  gadugi stop latest fix-login  Stop one task; the others continue
  gadugi stop --now             Kill without a grace period";

pub(super) const REPORT: &str = "\
Examples:
  gadugi report                              Print the latest report as Markdown
  gadugi report --format junit -o junit.xml  Write it for a CI server
  gadugi report 20261122-0833 --format json  Print the report of an earlier run
  gadugi report --merge                      Print the report of its latest merge";

pub(super) const MERGE: &str = "\
Examples:
  gadugi merge --dry-run              Show what would be merged, and what conflicts
  gadugi merge --check 'cargo test'   Merge what the check succeeds on
  gadugi merge fix-login docs         Merge these tasks, and those that they need
  gadugi merge --strategy squash      Make one commit of each task
  gadugi merge --resolve              Let agents resolve what conflicts";

pub(super) const CONFLICTS: &str = "\
Examples:
  gadugi conflicts                    Compare the branches of the latest run
  gadugi conflicts --into release     Compare them with another branch
  gadugi conflicts --json             Print the verdicts for a program
  gadugi conflicts --exit-code        Exit with 1 if a pair does not merge as text";

pub(super) const CLEAN: &str = "\
Examples:
  gadugi clean --dry-run     Show what would be removed and kept, and why
  gadugi clean               Clean the latest run
  gadugi clean --all --wait  Clean all finished runs, and wait for the disk space
  gadugi clean --discard     Also remove unmerged work; it is kept for 14 days";

pub(super) const COMPLETIONS: &str = "\
Examples:
  gadugi completions bash > ~/.local/share/bash-completion/completions/gadugi
      Bash
  gadugi completions zsh > \"${fpath[1]}/_gadugi\"
      Zsh
  gadugi completions fish > ~/.config/fish/completions/gadugi.fish
      fish";

pub(super) const MAN: &str = "\
Examples:
  gadugi man run | man -l -                    Read the page of `gadugi run`
  gadugi man --output ~/.local/share/man/man1  Install the pages of all commands";
