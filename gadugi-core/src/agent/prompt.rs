//! Prompts: the words of the task's author, in a frame that describes the branch, the tasks done before and the check.

use std::time::Duration;

use crate::id::{BranchName, TaskId};
use crate::time::Clock;

/// Frame of a task that sets none.
pub const DEFAULT_FRAME: &str = "\
You work alone, in a git worktree on the branch {branch}. Nobody answers questions: decide, and go on.

These tasks are done, and what they made is in your worktree:
{needs}

Commit your work to that branch when you are done.

It is accepted when this check passes:
{check}";

/// A needed task that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedDone {
    /// Id of the task.
    pub task: TaskId,
    /// Title of the task.
    pub title: String,
    /// Last message of its agent, if it had one.
    pub last_message: Option<String>,
}

/// The end of the attempt before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Earlier {
    /// It did not pass its check.
    Check {
        /// End of the check, such as `exit code 1`.
        status: String,
        /// End of its output.
        output: String,
        /// Whether the agent resumes the conversation in which it did the work.
        is_resumed: bool,
    },
    /// It was in an earlier run, and the agent resumes the conversation with this message.
    Retried {
        /// The message.
        message: String,
    },
    /// The agent's requests were refused, and it resumes the conversation.
    Interrupted,
    /// The agent had used up its share of the run's budget, and resumes the conversation with another share.
    OutOfShare,
    /// The agent was stopped by a clock, and resumes the conversation.
    TimedOut {
        /// The clock that ran out.
        clock: Clock,
        /// Time limit of the clock.
        after: Duration,
    },
}

/// The parts of a prompt.
#[derive(Debug, Clone, Copy)]
pub struct PromptParts<'a> {
    /// The words of the task's author.
    pub prompt: &'a str,
    /// Text that follows the prompt, with the placeholders `{branch}`, `{needs}` and `{check}`. A paragraph (between
    /// empty lines) with a placeholder that has no value is left out.
    pub frame: &'a str,
    /// Branch of the attempt.
    pub branch: Option<&'a BranchName>,
    /// Needed tasks that are done.
    pub needs: &'a [NeedDone],
    /// Script of the check.
    pub check: Option<&'a str>,
    /// End of the attempt before this one, where the prompt mentions it.
    pub earlier: Option<&'a Earlier>,
}

/// Bytes of the longest argument that a program can get: Linux takes 128 KiB with the NUL at its end.
pub const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Bytes of an argument up to which the last messages of needed tasks are kept whole.
const MAX_WITH_MESSAGES: usize = 64 * 1024;

/// Composes a prompt that becomes an argument of a command, whose length is limited: last messages of needed tasks are
/// shortened where it would be too long. It has no NUL.
#[must_use]
pub fn compose_argument(parts: PromptParts<'_>) -> String {
    let whole = compose_prompt(parts);
    let fitting = if whole.len() <= MAX_WITH_MESSAGES { whole } else { compose_shortened(parts) };
    fitting.trim_end().replace('\0', "")
}

/// Composes a prompt with the same room for the message of each needed task.
fn compose_shortened(parts: PromptParts<'_>) -> String {
    let mut needs: Vec<NeedDone> =
        parts.needs.iter().map(|need| NeedDone { last_message: None, ..need.clone() }).collect();
    let without = compose_prompt(PromptParts { needs: &needs, ..parts }).len();
    let messages = parts.needs.iter().filter(|need| need.said().is_some()).count();
    let room = MAX_WITH_MESSAGES.saturating_sub(without) / messages.max(1);
    for (short, need) in needs.iter_mut().zip(parts.needs) {
        short.last_message = need.said().and_then(|line| shortened(line, room.saturating_sub(IT_SAID.len())));
    }
    compose_prompt(PromptParts { needs: &needs, ..parts })
}

/// Shortens a line to a number of bytes; `None` where nothing would be left of it.
fn shortened(line: &str, bytes: usize) -> Option<String> {
    if line.len() <= bytes {
        return Some(line.to_owned());
    }
    let end = (0..=bytes.checked_sub('…'.len_utf8())?).rev().find(|end| line.is_char_boundary(*end))?;
    (end > 0).then(|| format!("{}…", &line[..end]))
}

/// Composes a prompt. It ends with a line break.
#[must_use]
pub fn compose_prompt(parts: PromptParts<'_>) -> String {
    let (resumed, earlier) = match parts.earlier {
        Some(Earlier::Check { status, output, is_resumed }) => (*is_resumed, Some(failed_check(status, output))),
        Some(Earlier::Retried { message }) => (true, Some(message.trim_end().to_owned())),
        Some(Earlier::Interrupted) => {
            (true, Some("You were interrupted, since requests were refused for a while. Go on.".to_owned()))
        }
        Some(Earlier::OutOfShare) => (
            true,
            Some("You were interrupted, since a part of the budget was used up. There is more. Go on.".to_owned()),
        ),
        Some(Earlier::TimedOut { clock, after }) => (true, Some(timed_out(*clock, *after))),
        None => (false, None),
    };
    let mut text = Vec::new();
    if resumed {
        text.extend(earlier);
    } else {
        text.push(parts.prompt.trim_end().to_owned());
        text.extend(framed(&parts));
        text.extend(earlier.map(|earlier| format!("An earlier attempt was not accepted. {earlier}")));
    }
    text.join("\n\n") + "\n"
}

fn framed(parts: &PromptParts<'_>) -> Option<String> {
    let branch = parts.branch.map(|branch| format!("`{branch}`"));
    let needs: Vec<String> = parts.needs.iter().map(need).collect();
    let needs = (!needs.is_empty()).then(|| needs.join("\n"));
    let check = parts.check.map(|check| fenced(check.trim()));
    let values = [("{branch}", branch), ("{needs}", needs), ("{check}", check)];
    let paragraphs = parts.frame.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    let filled: Vec<String> = paragraphs.filter_map(|paragraph| fill(paragraph, &values)).collect();
    (!filled.is_empty()).then(|| format!("---\n\n{}", filled.join("\n\n")))
}

/// Fills the placeholders of a paragraph; `None` where one has no value. Placeholders inside of values stay as they
/// are.
fn fill(paragraph: &str, values: &[(&str, Option<String>)]) -> Option<String> {
    let mut filled = String::new();
    let mut rest = paragraph.trim_matches('\n');
    loop {
        let next =
            values.iter().filter_map(|(name, value)| Some((rest.find(name)?, name, value))).min_by_key(|found| found.0);
        let Some((at, name, value)) = next else { return Some(filled + rest) };
        filled += &rest[..at];
        filled += value.as_ref()?;
        rest = &rest[at + name.len()..];
    }
}

impl NeedDone {
    /// The first line of its last message.
    fn said(&self) -> Option<&str> {
        self.last_message.as_deref()?.lines().map(str::trim).find(|line| !line.is_empty())
    }
}

const IT_SAID: &str = " It said: ";

fn need(need: &NeedDone) -> String {
    let said = need.said().map(|line| format!("{IT_SAID}{line}")).unwrap_or_default();
    format!("- `{}`: {}.{said}", need.task, need.title.trim_end_matches('.'))
}

/// The next message to an agent whose work was not accepted by a check.
#[must_use]
pub fn failed_check(status: &str, output: &str) -> String {
    let output = match output.trim() {
        "" => "It printed nothing.".to_owned(),
        output => format!("The end of what it printed:\n\n{}", fenced(output)),
    };
    format!("Its check failed ({status}). {output}\n\nMend that, and commit.")
}

fn timed_out(clock: Clock, after: Duration) -> String {
    let why = why_stopped(clock, after);
    format!("You were {why}. What you had made is still there, and what you had running is not. Go on, and commit.")
}

/// The reason of a stop by a clock of this time limit, in words.
pub(crate) fn why_stopped(clock: Clock, after: Duration) -> String {
    let after = in_words(after);
    match clock {
        Clock::Idle => format!("stopped, since nothing was printed for {after}"),
        Clock::Wall | Clock::Setup => format!("stopped, since the time of {after} was over"),
    }
}

/// A duration in words, without its parts that are 0.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
        (u64::from(time.subsec_millis()), "ms"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number} {unit}"));
    parts.collect::<Vec<_>>().join(" ")
}

/// A Markdown code block whose fence is longer than any in the text.
fn fenced(text: &str) -> String {
    let longest = text.lines().map(|line| line.trim_start().bytes().take_while(|byte| *byte == b'`').count()).max();
    let fence = "`".repeat(longest.unwrap_or_default().max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(frame: &'a str, branch: &'a BranchName) -> PromptParts<'a> {
        PromptParts {
            prompt: "# Do it\n\nWell.\n\n",
            frame,
            branch: Some(branch),
            needs: &[],
            check: None,
            earlier: None,
        }
    }

    #[test]
    fn what_there_is_nothing_for_is_left_out_with_its_paragraph() {
        let branch = "gadugi/a".parse().expect("a branch");
        let alone = compose_prompt(parts(DEFAULT_FRAME, &branch));
        let frame =
            "You work alone, in a git worktree on the branch `gadugi/a`. Nobody answers questions: decide, and go on.";
        let commit = "Commit your work to that branch when you are done.";
        assert_eq!(alone, format!("# Do it\n\nWell.\n\n---\n\n{frame}\n\n{commit}\n"));
        let need = |last: Option<&str>| NeedDone {
            task: "models".parse().expect("an id"),
            title: "Add models.".into(),
            last_message: last.map(Into::into),
        };
        let needs = [need(None), need(Some("\nAll {check} done.\nReally."))];
        let full =
            compose_prompt(PromptParts { needs: &needs, check: Some("cargo test\n"), ..parts(DEFAULT_FRAME, &branch) });
        assert!(
            full.contains("worktree:\n- `models`: Add models.\n- `models`: Add models. It said: All {check} done.\n\n"),
            "{full}"
        );
        assert!(full.ends_with("It is accepted when this check passes:\n```\ncargo test\n```\n"), "{full}");
    }

    #[test]
    fn what_needed_tasks_have_said_makes_no_argument_too_long() {
        let branch = "gadugi/a".parse().expect("a branch");
        let need = |last: &str| NeedDone {
            task: "models".parse().expect("an id"),
            title: "Add models".into(),
            last_message: Some(last.into()),
        };
        let needs = [need(&"é".repeat(100_000)), need("Done.\0"), need(&"x".repeat(200_000))];
        let parts = PromptParts { needs: &needs, ..parts(DEFAULT_FRAME, &branch) };
        assert!(compose_prompt(parts).len() > 400_000);
        let argument = compose_argument(parts);
        assert!((40_000..=MAX_WITH_MESSAGES).contains(&argument.len()), "{}", argument.len());
        assert!(argument.contains("éé…\n- `models`: Add models. It said: Done.\n- `models`: Add models. It said: xxx"));
        let short = PromptParts { needs: &needs[1..2], ..parts };
        assert_eq!(compose_argument(short) + "\n", compose_prompt(short).replace('\0', ""));
        let long = "y".repeat(MAX_WITH_MESSAGES);
        assert!(!compose_argument(PromptParts { prompt: &long, ..parts }).contains("It said"));
    }

    #[test]
    fn without_a_frame_it_is_the_words_of_the_author() {
        let branch = "gadugi/a".parse().expect("a branch");
        assert_eq!(compose_prompt(parts("", &branch)), "# Do it\n\nWell.\n");
    }

    #[test]
    fn a_conversation_that_goes_on_hears_only_what_the_check_printed() {
        let branch = "gadugi/a".parse().expect("a branch");
        let earlier =
            |is_resumed| Earlier::Check { status: "exit code 1".into(), output: "```\nno\n".into(), is_resumed };
        let resumed = compose_prompt(PromptParts { earlier: Some(&earlier(true)), ..parts("", &branch) });
        let said = "Its check failed (exit code 1). The end of what it printed:\n\n````\n```\nno\n````\n\nMend that, and commit.\n";
        assert_eq!(resumed, said);
        let anew = compose_prompt(PromptParts { earlier: Some(&earlier(false)), ..parts("", &branch) });
        assert_eq!(anew, format!("# Do it\n\nWell.\n\nAn earlier attempt was not accepted. {said}"));
    }

    #[test]
    fn a_conversation_that_goes_on_after_its_time_was_over_hears_which_and_how_long_it_was() {
        let branch = "gadugi/a".parse().expect("a branch");
        let told = |clock, seconds, millis: u32| {
            let earlier = Earlier::TimedOut { clock, after: Duration::new(seconds, millis * 1_000_000) };
            compose_prompt(PromptParts { earlier: Some(&earlier), ..parts(DEFAULT_FRAME, &branch) })
        };
        let rest = "What you had made is still there, and what you had running is not. Go on, and commit.\n";
        let wall = told(Clock::Wall, 5400, 0);
        assert_eq!(wall, format!("You were stopped, since the time of 1 h 30 min was over. {rest}"));
        let idle = told(Clock::Idle, 61, 500);
        assert_eq!(idle, format!("You were stopped, since nothing was printed for 1 min 1 s 500 ms. {rest}"));
    }
}
