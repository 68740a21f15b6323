//! Images: from the first file to a run in one, and where there is none.

use gadugi_test_support::docker::Docker;
use gadugi_test_support::repo::TestRepo;

use super::dock::Dock;

/// Removes an image that a test has made, also when it fails.
struct Made<'a>(&'a Docker, String);

impl Drop for Made<'_> {
    fn drop(&mut self) {
        self.0.command().args(["image", "rm", "-f", &self.1]).output().ok();
    }
}

#[test]
fn an_image_is_described_built_and_run_in() {
    let Some(docker) = Docker::of_machine() else { return };
    // The image is named after the folder, and other tests have the usual one.
    let dock = Dock::at(docker, TestRepo::init("project-of-an-image-test", &[]), "");
    dock.repo.git(&["rm", "-q", "gadugi.toml"]);
    dock.repo.git(&["commit", "-q", "-m", "Without configuration"]);
    let made = Made(&dock.docker, "gadugi/project-of-an-image-test:latest".to_owned());
    dock.gadugi(&["init", "--docker"]).expect(0).says(&[
        "gadugi.toml",
        ".gadugi/Dockerfile",
        "gadugi image build",
        &made.1,
    ]);
    let dockerfile = format!("FROM {}\nCOPY note.txt /etc/note.txt\nENV FROM_IMAGE=yes\n", dock.image.name());
    dock.repo.write(".gadugi/Dockerfile", dockerfile);
    dock.repo.write(".gadugi/note.txt", "from the image\n");
    let file =
        dock.task("a.md", "---\nrun: cat /etc/note.txt > note.txt; echo \"$FROM_IMAGE\" >> note.txt\n---\n# A\n");
    dock.gadugi(&["run", "--executor", "docker", &file]).expect(3).says(&[&made.1, "gadugi image build"]);
    dock.gadugi(&["image", "build"]).expect(0).says(&[&format!("built {}", made.1)]);
    let config = std::fs::read_to_string(dock.repo.path().join("gadugi.toml")).expect("it was written");
    dock.repo.write("gadugi.toml", config.replace("\n[docker]\n", "\n[docker]\nnetwork = \"none\"\n"));
    // A container is taken without being asked for, now that there is an image.
    dock.gadugi(&["run", &file]).expect(0);
    assert_eq!(dock.report()["tasks"][0]["attempts"][0]["executor"], "docker");
    assert_eq!(dock.repo.git(&["show", "gadugi/a:note.txt"]), "from the image\nyes");
    dock.assert_clean();
}

#[test]
fn images_that_cannot_be_built_or_fetched_are_told_with_the_reason() {
    let Some(dock) = Dock::new() else { return };
    dock.gadugi(&["image", "build"]).expect(2).says(&[".gadugi/Dockerfile", "gadugi init --docker"]);
    dock.repo.write(".gadugi/Dockerfile", format!("FROM {}\nCOPY missing.txt /\n", dock.image.name()));
    let tag = "gadugi-test/never-built:1";
    dock.gadugi(&["image", "build", "--tag", tag]).expect(3).says(&["error: the build failed: ", "missing.txt"]);
    assert_eq!(dock.docker.run(&["image", "ls", "-q", tag]), "");
    dock.gadugi(&["image", "pull", "127.0.0.1:9/none:1"]).expect(3).says(&["127.0.0.1:9/none:1", "refused"]);
    let file = dock.scripted("a", "image: 127.0.0.1:9/none:1\n", "true");
    dock.gadugi(&["run", "--pull", &file]).expect(3).says(&["cannot fetch", "127.0.0.1:9/none:1"]);
    assert!(!dock.repo.path().join(".git/gadugi/runs").exists(), "nothing was begun");
}

#[test]
fn plan_shows_how_containers_are_confined_and_what_the_configuration_makes_of_it() {
    let Some(dock) = Dock::new() else { return };
    let small = dock.scripted("small", "memory: 64MiB\ncpus: 0.5\n", "true");
    let usual = dock.scripted("usual", "", "true");
    let here = dock.scripted("here", "executor: subprocess\n", "true");
    let plan = dock.gadugi(&["plan", "-v", &small, &usual, &here]).expect(0).out;
    let terms = |task: &str| -> Vec<(String, String)> {
        let (_, after) = plan.split_once(&format!("\n{task}:\n")).unwrap_or_else(|| panic!("{task} is not in\n{plan}"));
        let lines = after.lines().take_while(|line| line.starts_with("  "));
        let pair =
            |line: &str| line.trim().split_once("  ").map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        lines.filter_map(pair).collect()
    };
    let has = |task: &str, name: &str, value: &str| {
        assert!(terms(task).contains(&(name.to_owned(), value.to_owned())), "{task}: {name} is not {value}:\n{plan}");
    };
    has("usual", "image", dock.image.name());
    has("usual", "network", "none");
    has("usual", "user", "the owner of the worktree");
    has("usual", "capabilities", "none");
    has("usual", "new privileges", "no");
    has("usual", "root file system", "read-only");
    has("usual", "memory", "4 GiB");
    has("usual", "docker.sock", "never");
    has("small", "memory", "64 MiB");
    has("small", "cpus", "0.5");
    assert!(!plan.contains("\nhere:\n"), "{plan}");
    let looser = "[docker]\nnetwork = \"bridge\"\nmemory = \"1GiB\"\nread_only = false\nuser = \"0:0\"\ncap_add = [\"CHOWN\"]\npids = 99\n";
    dock.repo.write("gadugi.toml", format!("executor = \"docker\"\nimage = \"{}\"\n{looser}", dock.image.name()));
    let plan = dock.gadugi(&["plan", "-v", &usual]).expect(0).out;
    for line in [
        ["network", "bridge"],
        ["memory", "1 GiB"],
        ["root file system", "writable"],
        ["user", "0:0"],
        ["capabilities", "CHOWN"],
        ["pids", "99"],
    ] {
        let is_there =
            plan.lines().any(|found| found.trim().starts_with(line[0]) && found.ends_with(&format!("  {}", line[1])));
        assert!(is_there, "{line:?} is not in\n{plan}");
    }
    assert!(!dock.repo.path().join(".git/gadugi/runs").exists(), "nothing was begun");
}
