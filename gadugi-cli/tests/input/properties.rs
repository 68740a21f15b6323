//! Properties that hold for any input.

use gadugi_core::{BranchName, TaskId};
use proptest::prelude::*;

use crate::fixture::Folder;

/// Bytes that look like a task file here and there.
fn task_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"---\n".to_vec()),
        Just(b"run: ".to_vec()),
        Just(b"needs: [a, ".to_vec()),
        Just(b"timeout: 1h\n".to_vec()),
        Just(b"env: {A: &x 1, B: *x}\n".to_vec()),
        Just(b"[[task]]\n".to_vec()),
        Just(b"run = '''\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just(b"\r\n".to_vec()),
        Just("é\u{2028}\u{85}".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
        "[ -~\n\t]{0,30}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_task_file_panics(bytes in task_like(), batch: bool) {
        let mut folder = Folder::new();
        folder.stdin = bytes.clone();
        let name = if batch { "x.toml" } else { "x.md" };
        folder.write(name, &bytes);
        for argument in [name, "-"] {
            if let Err(error) = folder.try_read(&[argument], &[]) {
                prop_assert!(!error.issues.is_empty());
                for issue in error.issues {
                    prop_assert_eq!(issue.to_string().lines().count(), 1);
                    prop_assert!(!issue.hint().is_empty());
                }
            }
        }
    }

    #[test]
    fn no_configuration_panics(text in "[ -~\n]{0,200}", bytes in task_like()) {
        for text in [text.into_bytes(), bytes] {
            let folder = Folder::with("gadugi.toml", text);
            if let Err(error) = folder.load() {
                prop_assert!(!error.issues.is_empty());
            }
        }
    }

    #[test]
    fn any_name_becomes_a_valid_id_and_branch(name in ".*", others in proptest::collection::vec("[a-c.é -]{0,4}", 0..8)) {
        let mut names = others;
        names.push(name);
        let texts: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.trim().is_empty()).collect();
        let folder = Folder::configured("agent = 'a'\n[agents.a]\ncommand = ['a']\n");
        let Ok(plan) = folder.try_read(&[], &texts) else { return Ok(()) };
        let mut seen = std::collections::HashSet::new();
        for task in plan.tasks {
            let id = task.spec.id.as_str();
            prop_assert!(id.parse::<TaskId>().is_ok(), "{}", id);
            prop_assert!(format!("{}{id}", folder.config.branch_prefix).parse::<BranchName>().is_ok(), "{}", id);
            prop_assert!(seen.insert(task.spec.id), "twice");
        }
    }

    #[test]
    fn any_time_is_read_or_refused(text in "[0-9.]{0,6}(d|h|m|s|ms| |x)?[0-9.]{0,6}(h|m|s|ms)?") {
        if let Ok(duration) = gadugi_cli::config::parse_duration(&text) {
            prop_assert!(duration.as_secs() <= 366 * 86_400);
        }
        if let Ok(bytes) = gadugi_cli::config::parse_size(&text) {
            prop_assert!(bytes > 0);
        }
    }
}
