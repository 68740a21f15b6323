//! Files that cannot be read as tasks.

use std::fs;

use insta::assert_snapshot;

use crate::fixture::Folder;

#[test]
fn files_that_are_no_text_are_told_together() {
    let folder = Folder::new();
    folder.write("01-empty.md", "");
    folder.write("02-blank.md", "\u{feff} \n\t\n");
    folder.write("03-latin1.md", b"---\nrun: x\n---\ncaf\xe9\n");
    folder.write("04-nul.md", b"# Title\n\0");
    folder.write("05-large.md", vec![b'x'; 1024 * 1024 + 1]);
    folder.write("06-good.md", "---\nrun: x\n---\n");
    folder.write("07-utf16.md", b"\xff\xfeh\0i\0");
    assert_snapshot!(folder.errors(&["."]), @"
    error: 01-empty.md: is empty
     hint: write the task into it, or leave it out
    error: 02-blank.md: is empty
     hint: write the task into it, or leave it out
    error: 03-latin1.md:4: is not UTF-8: the byte at offset 18 belongs to no character
     hint: save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`
    error: 04-nul.md:2: is not a text: the byte at offset 8 is 0
     hint: is it the right file? UTF-16 becomes readable with `iconv -f UTF-16 -t UTF-8`
    error: 05-large.md: is too large: 1048577 bytes (the limit is 1 MiB)
     hint: split it, or put what is long into a file of the repository and name that file in the task
    error: 07-utf16.md:1: is not a text: the byte at offset 3 is 0
     hint: is it the right file? UTF-16 becomes readable with `iconv -f UTF-16 -t UTF-8`
    ");
}

#[test]
fn a_file_of_exactly_one_mebibyte_is_read() {
    let mut text = b"---\nrun: x\n---\n".to_vec();
    text.resize(1024 * 1024, b'x');
    let folder = Folder::with("large.md", text);
    assert_eq!(folder.ids(&["large.md"]), ["large"]);
}

#[test]
fn names_that_lead_nowhere_are_told() {
    let folder = Folder::with("sub/x.txt", "x");
    let long = "x".repeat(300);
    let errors = folder.errors(&["missing.md", "no/such/folder", "sub", "sub/x.txt/y.md", "*.md", "a{b", &long]);
    assert_snapshot!(errors.replace(&long, "(300 letters)"), @"
    error: missing.md: no such file or folder
     hint: name a file, a folder, a pattern in quotes such as 'tasks/*.md', or `-` for the standard input
    error: no/such/folder: no such file or folder
     hint: name a file, a folder, a pattern in quotes such as 'tasks/*.md', or `-` for the standard input
    error: sub: the folder holds no task files
     hint: a folder gives its *.md files (without README.md) and its tasks.toml; for folders in it, use a pattern such as 'tasks/**/*.md'
    error: *.md: no file matches
     hint: check the pattern; `*` stays within a folder, `**` goes through all
    error: a{b: this is not a valid pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
     hint: `*`, `?`, `[a-z]`, `{a,b}` and `**` are understood
    error: sub/x.txt/y.md: cannot be read: Not a directory (os error 20)
     hint: check the path, or leave it out
    error: (300 letters): cannot be read: File name too long (os error 36)
     hint: check the path, or leave it out
    ");
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use gadugi_cli::input::{TaskInput, read_tasks};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = Folder::new();
        let status = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.md")).status().unwrap();
        assert!(status.success());
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket.md")).unwrap();
        symlink("/dev/zero", folder.path().join("device.md")).unwrap();
        symlink("nowhere", folder.path().join("dangling.md")).unwrap();
        symlink("loop.md", folder.path().join("loop.md")).unwrap();
        fs::create_dir(folder.path().join("folder.md")).unwrap();
        assert_snapshot!(folder.errors(&["."]), @"
        error: dangling.md: cannot be read: No such file or directory (os error 2)
         hint: check the path, or leave it out
        error: device.md: is not a regular file but a device
         hint: write the text into a file, or pipe it in and name `-` instead
        error: loop.md: cannot be read: Too many levels of symbolic links (os error 40)
         hint: check the path, or leave it out
        error: pipe.md: is not a regular file but a pipe
         hint: write the text into a file, or pipe it in and name `-` instead
        error: socket.md: is not a regular file but a socket
         hint: write the text into a file, or pipe it in and name `-` instead
        ");
    }

    #[test]
    fn a_file_without_permission_is_told() {
        let folder = Folder::with("secret.md", "---\nrun: x\n---\n");
        folder.write("closed/x.md", "---\nrun: x\n---\n");
        let set_mode = |name: &str, mode| {
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode("secret.md", 0);
        set_mode("closed", 0);
        if fs::File::open(folder.path().join("secret.md")).is_ok() {
            eprintln!("skipped: this user may read everything");
            return;
        }
        let errors = folder.errors(&["secret.md", "closed", "closed/x.md", "**/*.md"]);
        set_mode("closed", 0o700);
        assert_snapshot!(errors, @"
        error: closed: cannot be listed: Permission denied (os error 13)
         hint: check the permissions of the folder, or name the files
        error: closed: cannot be listed: Permission denied (os error 13)
         hint: check the permissions of the folder, or name the files
        error: secret.md: cannot be read: Permission denied (os error 13)
         hint: give yourself the permission to read it (chmod u+r), or leave it out
        error: closed/x.md: cannot be read: Permission denied (os error 13)
         hint: give yourself the permission to read it (chmod u+r), or leave it out
        ");
    }

    #[test]
    fn folders_that_contain_themselves_end() {
        let folder = Folder::with("a/task.md", "---\nrun: x\n---\n");
        symlink("..", folder.path().join("a/up")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert_eq!(folder.ids(&["**/*.md"]), ["task"]);
        assert_eq!(folder.ids(&["a", "b", "a/up/a", "b/task.md"]), ["task"]);
    }

    #[test]
    fn names_of_any_form_become_ids() {
        let folder = Folder::new();
        let names: Vec<PathBuf> = [
            &b"-rf.md"[..],
            b" .md",
            b"a b\tc.md",
            b"line\nbreak.md",
            b"..md",
            b"...md",
            b"caf\xe9.md",
            "日本語.md".as_bytes(),
            "Überraschung.md".as_bytes(),
            b"x.lock.md",
            b"a..b.md",
            b"UPPER.MD",
            b"[a].md",
            b"\x1b[31mred.md",
        ]
        .into_iter()
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
        .chain([PathBuf::from("y".repeat(240) + ".md"), PathBuf::from("y".repeat(241) + ".md")])
        .collect();
        for name in &names {
            fs::write(folder.path().join(name), "---\nrun: x\n---\n").unwrap();
        }
        let plan = read_tasks(TaskInput {
            arguments: &names,
            texts: &[],
            folder: folder.path(),
            stdin: &mut std::io::empty(),
            config: &folder.config,
            environment: &folder.environment,
            installed: &[],
            took_installed: &mut false,
            passed_over: &mut Vec::new(),
        })
        .unwrap();
        let ids: Vec<_> = plan.tasks.iter().map(|task| task.spec.id.as_str()).collect();
        assert_snapshot!(ids.join("\n"), @"
        rf
        task-250c8f7f
        a-b-c
        line-break
        task-2b0c98f1
        task-a3d4a70d
        caf
        task-805f5ce7
        berraschung
        x
        a.b
        upper
        a
        31mred
        yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
        yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy-74f61204
        ");
    }

    #[test]
    fn a_message_stays_on_its_line_whatever_the_file_is_called() {
        let folder = Folder::with("a\n\x1b[31mb.md", "---\nnedds: y\n---\n");
        assert_snapshot!(folder.errors(&["."]), @r"
        error: a\n\u{1b}[31mb.md:2: unknown key `nedds` (did you mean `needs`?)
         hint: write `needs`, or remove it
        ");
    }
}
