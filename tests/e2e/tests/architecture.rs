//! The direction of dependency between the crates and between the files of a crate, what a library leaves to the command line,
//! and that the README's promises lead to tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

const CORE: &str = "gadugi-core";
const ADAPTERS: [&str; 3] = ["gadugi-worktree", "gadugi-exec", "gadugi-registry"];
const COMPOSER: &str = "gadugi-cli";
const TEST_SUPPORT: &str = "gadugi-test-support";

/// Libraries that belong to an adapter or to the command line.
const OUTSIDE_CORE: [&str; 5] = ["gix", "git2", "bollard", "clap", "rusqlite"];

/// Code that prints, ends the process or reads its environment.
const NOT_IN_A_LIBRARY: [&str; 9] = [
    "print!(",
    "println!(",
    "process::exit(",
    "env::var",
    "env::args",
    "env::current_",
    "env::home_dir",
    "env::temp_dir",
    "env::set_",
];

/// Exceptions for single files of libraries.
const EXCEPTIONS: [(&str, &[&str]); 2] = [
    // The entry point of a process of its own, which a program calls from its `main`: it is started by an argument, and ends
    // its process.
    ("gadugi-exec/src/shim/mod.rs", &["env::args", "env::var", "process::exit("]),
    // Where git looks for the user's configuration, if that is to count.
    ("gadugi-worktree/src/repo/open.rs", &["gix::path::env::var"]),
];

/// The adapters that only site/ and executors/ of the command line may name.
const CONCRETE: [&str; 4] = ["GitWorktrees", "SubprocessExecutor", "DockerExecutor", "FsRegistry"];

/// The crates whose files are in rooms: no folder is crowded, and neither two files nor two rooms import each other.
const IN_ROOMS: [&str; 5] = ["gadugi-core", "gadugi-worktree", "gadugi-exec", "gadugi-registry", "gadugi-cli"];

/// The files that a folder may have of its own.
const MAX_FILES: usize = 14;

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes the workspace")
}

fn package<'a>(workspace: &'a Metadata, name: &str) -> &'a Package {
    let found = workspace.packages.iter().find(|package| package.name == name);
    found.unwrap_or_else(|| panic!("the workspace has no package {name}"))
}

/// The packages of this workspace that a package needs, with the kinds of the dependencies.
fn ours<'a>(workspace: &'a Metadata, package: &'a Package) -> impl Iterator<Item = (&'a str, DependencyKind)> {
    package
        .dependencies
        .iter()
        .filter(|dependency| workspace.packages.iter().any(|other| other.name == dependency.name))
        .map(|dependency| (dependency.name.as_str(), dependency.kind))
}

#[test]
fn core_depends_on_no_other_crate_of_ours() {
    let workspace = workspace();
    for (name, kind) in ours(&workspace, package(&workspace, CORE)) {
        assert!(
            name == TEST_SUPPORT && kind == DependencyKind::Development,
            "{CORE} has a {kind} dependency on {name}"
        );
    }
}

#[test]
fn core_knows_neither_git_nor_containers_nor_the_command_line_nor_a_database() {
    let workspace = workspace();
    for dependency in &package(&workspace, CORE).dependencies {
        let family = dependency.name.split(['-', '_']).next().unwrap_or_default();
        assert!(!OUTSIDE_CORE.contains(&family), "{CORE} depends on {}", dependency.name);
    }
}

#[test]
fn adapters_depend_on_core_and_never_on_each_other() {
    let workspace = workspace();
    for adapter in ADAPTERS {
        let adapter = package(&workspace, adapter);
        for (name, kind) in ours(&workspace, adapter) {
            let for_tests = name == TEST_SUPPORT && kind == DependencyKind::Development;
            assert!(name == CORE || for_tests, "{} has a {kind} dependency on {name}", adapter.name);
        }
    }
}

#[test]
fn only_the_command_line_puts_the_adapters_together() {
    let workspace = workspace();
    let tests = workspace.workspace_root.join("tests");
    for package in workspace.packages.iter().filter(|package| !package.manifest_path.starts_with(&tests)) {
        let adapters: Vec<_> = ours(&workspace, package).filter(|(name, _)| ADAPTERS.contains(name)).collect();
        assert!(adapters.is_empty() || package.name == COMPOSER, "{} depends on {adapters:?}", package.name);
    }
}

#[test]
fn libraries_leave_printing_exiting_and_the_environment_to_the_command_line() {
    let workspace = workspace();
    let mut found = Vec::new();
    for name in [CORE].into_iter().chain(ADAPTERS) {
        let manifest = package(&workspace, name).manifest_path.as_std_path();
        let sources = rust_files(&manifest.with_file_name("src"));
        assert!(!sources.is_empty(), "{name} has no sources");
        for path in sources {
            let text = fs::read_to_string(&path).expect("a source file");
            let allowed = |code: &str| {
                let mut exceptions = EXCEPTIONS.iter().filter(|(file, _)| path.ends_with(file));
                exceptions.any(|(_, words)| words.iter().any(|word| code.contains(word)))
            };
            found.extend(
                offences(&text)
                    .filter(|(_, code)| !allowed(code))
                    .map(|(line, code)| format!("{}:{line}: {code}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "in a library:\n{}", found.join("\n"));
}

#[test]
fn only_two_rooms_of_the_command_line_name_adapters() {
    let workspace = workspace();
    let manifest = &package(&workspace, COMPOSER).manifest_path;
    let source = manifest.parent().expect("a manifest lies in a folder").join("src");
    let names_one = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file");
        CONCRETE.iter().any(|adapter| text.contains(adapter))
    };
    let files: Vec<_> = rust_files(source.as_std_path()).into_iter().filter(names_one).collect();
    let rooms = ["site", "executors"].map(|room| source.join(room));
    let outside: Vec<_> = files.iter().filter(|file| !rooms.iter().any(|room| file.starts_with(room))).collect();
    assert!(!files.is_empty() && outside.is_empty(), "outside of site/ and executors/: {outside:?}");
}

#[test]
fn the_room_of_commands_holds_a_file_or_a_folder_for_each_command_and_nothing_else() {
    let workspace = workspace();
    let source = package(&workspace, COMPOSER).manifest_path.as_std_path().with_file_name("src");
    let args = fs::read_to_string(source.join("args.rs")).expect("the arguments");
    let (_, variants) = args.split_once("enum Command {\n").expect("the commands");
    let (variants, _) = variants.split_once("\n}").expect("their end");
    let variants = variants.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(char::is_uppercase));
    let name = |line: &str| line.split(|letter: char| !letter.is_alphanumeric()).next().map(str::to_lowercase);
    let commands: BTreeSet<String> = variants.filter_map(name).collect();
    let entries = fs::read_dir(source.join("commands")).expect("the room of commands");
    let entries = entries.map(|entry| entry.expect("an entry of a folder").path().with_extension(""));
    let entries = entries.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let entries: BTreeSet<String> = entries.filter(|name| name != "mod").collect();
    assert!(commands.len() > 10, "commands were found: {commands:?}");
    assert_eq!(entries, commands);
}

#[test]
fn only_one_file_of_the_command_line_prints() {
    let workspace = workspace();
    let manifest = &package(&workspace, COMPOSER).manifest_path;
    let source = manifest.parent().expect("a manifest lies in a folder").join("src");
    let prints = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file");
        ["io::stdout", "io::stderr", "stdout().", "stderr().", "print!", "println!"]
            .iter()
            .any(|word| text.contains(word))
    };
    let files: Vec<_> = rust_files(source.as_std_path()).into_iter().filter(prints).collect();
    assert_eq!(files, [source.join("terminal/mod.rs")]);
}

#[test]
fn the_search_for_printing_sees_code_and_passes_over_comments_and_unit_tests() {
    let source = "
        //! Call `println!(\"x\")` yourself.
        fn f() {
            eprintln!(\"x\"); // println!()
        }
        #[cfg(test)]
        mod tests {
            fn g() { std::process::exit(1) }
        }
    ";
    assert_eq!(offences(source).collect::<Vec<_>>(), [(4, "eprintln!(\"x\");")]);
}

/// The lines of a source file, by number, that have in them what is not for a library. Unit tests stand at
/// the end of a file, so the search ends where they begin.
fn offences(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default().trim()))
        .take_while(|(_, code)| *code != "mod tests {")
        .filter(|(_, code)| NOT_IN_A_LIBRARY.iter().any(|offence| code.contains(offence)))
}

/// The Rust files below a folder, without those that hold only unit tests.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() && !path.ends_with("tests") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

/// The modules that each module of a crate imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_folder_of_a_crate_in_rooms_is_crowded() {
    for (name, source) in in_rooms() {
        let mut folders: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for file in rust_files(&source) {
            *folders.entry(file.parent().expect("a file lies in a folder").to_owned()).or_default() += 1;
        }
        folders.retain(|_, files| *files > MAX_FILES);
        assert!(folders.is_empty(), "{name} has folders with more than {MAX_FILES} files: {folders:?}");
    }
}

#[test]
fn no_files_of_a_crate_in_rooms_import_each_other() {
    for (name, source) in in_rooms() {
        let circle = circle(&imports(&source));
        assert!(circle.is_empty(), "{name} has a circle of files: {}", circle.join(" -> "));
    }
}

#[test]
fn no_rooms_of_a_crate_import_each_other() {
    for (name, source) in in_rooms() {
        let files = imports(&source);
        let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
        let mut rooms = Imports::new();
        for (from, to) in &files {
            let others = to.iter().map(|to| room(to)).filter(|to| *to != room(from));
            rooms.entry(room(from)).or_default().extend(others);
        }
        let circle = circle(&rooms);
        let mut ties = Vec::new();
        for pair in circle.windows(2) {
            let all = files.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
            let tie = all.filter(|(from, to)| room(from) == pair[0] && room(to) == pair[1]);
            ties.extend(tie.map(|(from, to)| format!("{from} -> {to}")));
        }
        assert!(circle.is_empty(), "{name} has a circle of rooms, {}:\n{}", circle.join(" -> "), ties.join("\n"));
    }
}

#[test]
fn the_search_for_circles_sees_every_way_to_name_a_module() {
    let modules: BTreeSet<String> = ["a", "a::b", "c", "c::d", "e"].map(str::to_owned).into();
    let source = "
        use crate::c::{self, d::{One, Two}};
        use super::Parent; // crate::e
        fn f() { crate::e::g::<u8>() }
        #[cfg(test)]
        mod tests {
            use crate::a;
        }
    ";
    let found: Vec<_> = imported(source, "a::b", &modules).into_iter().collect();
    assert_eq!(found, ["a", "c", "c::d", "e"]);
    let imports = |of: &[(&str, &str)]| -> Imports {
        of.iter().map(|(from, to)| ((*from).to_owned(), [(*to).to_owned()].into())).collect()
    };
    assert!(circle(&imports(&[("a", "b"), ("b", "c")])).is_empty());
    assert_eq!(circle(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])), ["b", "c", "b"]);
}

/// The crates in rooms, by name and folder of sources.
fn in_rooms() -> Vec<(&'static str, PathBuf)> {
    let workspace = workspace();
    let source = |name| package(&workspace, name).manifest_path.as_std_path().with_file_name("src");
    IN_ROOMS.into_iter().map(|name| (name, source(name))).collect()
}

/// The imports between the files of a crate. A parent and its child modules may import each other.
fn imports(source: &Path) -> Imports {
    let module = |file: &Path| {
        let path = file.strip_prefix(source).expect("it lies in the sources").with_extension("");
        let path = if path.ends_with("mod") { path.parent().map(Path::to_owned).unwrap_or_default() } else { path };
        path.to_string_lossy().replace('/', "::")
    };
    let files: BTreeMap<String, PathBuf> = rust_files(source).into_iter().map(|file| (module(&file), file)).collect();
    let modules: BTreeSet<String> = files.keys().filter(|module| *module != "lib").cloned().collect();
    assert!(!modules.is_empty(), "there are sources");
    let mut imports = Imports::new();
    for module in &modules {
        let text = fs::read_to_string(&files[module]).expect("a source file");
        let mut found = imported(&text, module, &modules);
        let is_within = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}::"));
        found.retain(|other| !is_within(other, module) && !is_within(module, other));
        imports.insert(module.clone(), found);
    }
    imports
}

/// The modules of a crate that the code of one of them names, by `crate::` and `super::`.
fn imported(text: &str, module: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: String = lines.take_while(|code| code.trim() != "mod tests {").map(|line| format!("{line}\n")).collect();
    let mut found = BTreeSet::new();
    for (start, word) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        // The later words of `super::super::` are no starts, and neither are the ends of other names.
        if code[..start].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | ':')) {
            continue;
        }
        let above = module.rsplit_once("::").map_or("", |(above, _)| above);
        let base = if word == "crate::" { "" } else { above };
        let mut paths = Vec::new();
        paths_of(&code[start + word.len()..], base, &mut paths);
        for path in paths {
            let mut rest = path.as_str();
            while !rest.is_empty() && !modules.contains(rest) {
                rest = rest.rsplit_once("::").map_or("", |(above, _)| above);
            }
            if !rest.is_empty() {
                found.insert(rest.to_owned());
            }
        }
    }
    found
}

/// Reads one path after `base`, or a group of them in braces, and gives what is left of the code.
fn paths_of<'a>(code: &'a str, base: &str, paths: &mut Vec<String>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut group) = code.strip_prefix('{') {
        loop {
            group = group.trim_start();
            if let Some(rest) = group.strip_prefix('}') {
                return rest;
            }
            let rest = paths_of(group, base, paths);
            // A name that is given with `as`, and the comma.
            let end = rest.find([',', '}', ';']).unwrap_or(rest.len());
            group = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
            if group.is_empty() || group.starts_with(';') {
                return group;
            }
        }
    }
    let end = code.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    let path = match name {
        "self" | "" => base.to_owned(),
        "super" => base.rsplit_once("::").map_or("", |(above, _)| above).to_owned(),
        _ if base.is_empty() => name.to_owned(),
        _ => format!("{base}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => paths_of(rest, &path, paths),
        _ => {
            paths.push(path);
            rest
        }
    }
}

/// One circle, from a module to itself; empty where there is none.
fn circle(imports: &Imports) -> Vec<String> {
    let mut left = imports.clone();
    // Whatever imports nothing that is left is in no circle.
    loop {
        let before = left.len();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, others| !others.is_disjoint(&names));
        if left.len() == before {
            break;
        }
    }
    let Some(mut at) = left.keys().next() else { return Vec::new() };
    let mut way: Vec<String> = Vec::new();
    while !way.contains(at) {
        way.push(at.clone());
        at = left[at].iter().find(|other| left.contains_key(*other)).expect("each that is left imports another one");
    }
    let start = way.iter().position(|name| name == at).expect("the way has come there before");
    way.push(at.clone());
    way.split_off(start)
}

#[test]
fn every_promise_of_the_readme_leads_to_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).expect("the readme");
    let (_, promises) = readme.split_once("## What happens if").expect("its section");
    let (promises, _) = promises.split_once("\n## ").expect("a section after it");
    assert_eq!(assert_promises(promises, &root), 6, "a newcomer asks six things");
    let guarantees = fs::read_to_string(root.join("docs/guarantees.md")).expect("the guarantees");
    let (_, promises) = guarantees.split_once("## What happens if").expect("its section");
    assert!(assert_promises(promises, &root.join("docs")) > 25, "there are promises");
}

/// Asserts that each row of the tables has links to tests, from a page in `folder`. Returns the number of rows.
fn assert_promises(tables: &str, folder: &Path) -> usize {
    let is_promise = |line: &&str| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| Event");
    let rows: Vec<&str> = tables.lines().filter(is_promise).collect();
    for row in &rows {
        let links: Vec<&str> = row.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(!links.is_empty(), "a promise without a test: {row}");
        for link in links {
            let (path, name) = link.split_once(' ').expect("a path and, in quotes, the name of a test");
            let source = fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(source.contains(&format!("fn {}()", name.trim_matches('"'))), "{path} has no test {name}");
        }
    }
    rows.len()
}
