//! The rights of a command in a container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use gadugi_core::agent::{AgentCall, Argument, Piece};
use gadugi_core::executor::{ExitStatus, Mount};
use gadugi_core::plan::{Action, Program};
use gadugi_core::{Executor, TaskSpec};
use gadugi_exec::docker::{Network, User};

use crate::harness::{Harness, chain, log};

#[tokio::test]
async fn nothing_of_the_machine_is_there_but_the_folder_and_what_is_shown() {
    let Some(harness) = Harness::new() else { return };
    let shown = harness.root.path().join("shown");
    fs::create_dir(&shown).expect("a folder");
    fs::write(shown.join("file"), "shown\n").expect("a file");
    fs::write(harness.root.path().join("hidden"), "").expect("a file");
    let mut request = harness.script(
        "cat /shown/file; ls \"$OLD\"; (echo no > /shown/file) 2>&1 | grep -o 'Read-only file system'\n\
         for place in / /usr /bin /etc; do (touch $place/new) 2>/dev/null && echo wrote $place; done\n\
         ls /var/run/docker.sock /run/docker.sock 2>/dev/null | wc -l; echo mine > made; touch /tmp/x /run/x ~/x",
    );
    request.env.insert("OLD".to_owned(), harness.root.path().display().to_string());
    request.mounts.push(Mount { source: shown, target: PathBuf::from("/shown"), writable: false });
    let end = harness.end_of(&request).await;
    assert_eq!((end.status, log(&request).as_str()), (ExitStatus::Code(0), "shown\nwork\nRead-only file system\n0\n",));
    let made = fs::metadata(harness.folder().join("made")).expect("it is in the folder");
    let folder = fs::metadata(harness.folder()).expect("it is there");
    assert_eq!((made.uid(), made.gid()), (folder.uid(), folder.gid()));
}

#[tokio::test]
async fn a_command_has_no_privileges_and_runs_as_the_owner_of_the_folder() {
    let Some(harness) = Harness::new() else { return };
    std::os::unix::fs::chown(harness.folder(), Some(12_345), Some(23_456)).ok();
    let owner = fs::metadata(harness.folder()).expect("it is there");
    let said = harness
        .said("id -u; id -g; grep -E 'Cap(Eff|Prm|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status; touch ~/home made; pwd -P; echo $HOME")
        .await;
    let expected = format!(
        "{}\n{}\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n{}\n/home/gadugi\n",
        owner.uid(),
        owner.gid(),
        harness.folder().display()
    );
    assert_eq!(said, expected);
    assert_eq!(fs::metadata(harness.folder().join("made")).expect("it was made").uid(), owner.uid());
}

#[tokio::test]
async fn limits_are_held_and_can_be_set_by_the_task() {
    let Some(harness) = Harness::new() else { return };
    let mut request = harness.script("sleep 60");
    request.resources.memory = Some(64 << 20);
    request.resources.cpus = Some(0.5);
    let task = harness.start(&request).await;
    let id = harness.containers().pop().expect("it runs");
    let format = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} \
                  {{.HostConfig.NetworkMode}} {{.HostConfig.AutoRemove}} {{.HostConfig.Init}} {{.HostConfig.Privileged}} \
                  {{.HostConfig.RestartPolicy.Name}}";
    let said = harness.docker.run(&["inspect", "--format", format, &id]);
    assert_eq!(said, "67108864 67108864 500000000 512 none false true false no");
    task.stop(std::time::Duration::ZERO).await.expect("it can be stopped");
}

#[tokio::test]
async fn who_needs_more_memory_than_there_is_ends_for_that_reason() {
    let Some(harness) = Harness::new() else { return };
    let mut request = harness.script("x=$(yes | tr -d '\\n' | head -c 200000000); echo never");
    request.resources.memory = Some(32 << 20);
    let end = harness.end_of(&request).await;
    assert_eq!(end.status, ExitStatus::OutOfMemory, "{}", log(&request));
}

#[tokio::test]
async fn processes_are_limited_and_others_are_not_hurt() {
    let Some(harness) = Harness::with(|settings| settings.confinement.pids = Some(16)) else { return };
    let said = harness.said("n=0; while [ $n -lt 40 ]; do sleep 5 & n=$((n+1)); done 2>&1 | head -c 300; true").await;
    assert!(said.contains("esource"), "{said}");
}

#[tokio::test]
async fn what_is_confined_by_default_can_be_set_by_name() {
    let change = |settings: &mut gadugi_exec::docker::DockerSettings| {
        let confinement = &mut settings.confinement;
        confinement.read_only = false;
        confinement.cap_add = vec!["NET_BIND_SERVICE".to_owned()];
        confinement.no_new_privileges = false;
        confinement.seccomp = gadugi_exec::docker::Seccomp::Unconfined;
        confinement.user = User::Ids { uid: 0, gid: 0 };
        confinement.tmpfs = Vec::new();
        confinement.network = Network::None;
        confinement.init = false;
    };
    let Some(harness) = Harness::with(change) else { return };
    let said = harness
        .said("echo $$; touch /tmp/x && echo writable; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status")
        .await;
    assert_eq!(said, "1\nwritable\nCapEff:\t0000000000000400\nNoNewPrivs:\t0\nSeccomp:\t0\n");
}

#[tokio::test]
async fn without_a_network_there_is_the_containers_own_loopback_and_its_name() {
    let Some(harness) = Harness::new() else { return };
    let host = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
    let script = "grep -c : /proc/net/dev; cat /sys/class/net/lo/flags; grep localhost /etc/hosts | head -n 1; cat /etc/hostname\n\
                  readlink /proc/self/ns/net";
    let said = harness.said(script).await;
    let (said, namespace) = said.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(said, "1\n0x9\n127.0.0.1\tlocalhost\nfix-login");
    assert_ne!(namespace, host.to_string_lossy());
}

#[tokio::test]
async fn a_mount_with_the_daemons_socket_in_it_is_refused() {
    let Some(harness) = Harness::new() else { return };
    for source in ["/var/run/docker.sock", "/var/run", "/"] {
        let mut request = harness.script("true");
        let (source, target) = (PathBuf::from(source), PathBuf::from("/shown"));
        request.mounts.push(Mount { source: source.clone(), target, writable: false });
        let error = harness.executor.start(&request).await.err().expect("it is refused");
        assert!(chain(&error).contains("socket is in it"), "{}: {}", source.display(), chain(&error));
    }
    assert_eq!(harness.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn all_of_it_can_be_read_before_anything_is_started() {
    let Some(harness) = Harness::new() else { return };
    let mut task = TaskSpec::new("a".parse().expect("an id"), Program::Script("true".to_owned()));
    task.resources.image = Some("rust:1".to_owned());
    let terms = harness.executor.terms(&task);
    let text: Vec<_> = terms.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        text,
        [
            "image: rust:1",
            "user: the owner of the worktree",
            "network: none",
            "memory: 4 GiB",
            "cpus: 2",
            "pids: 512",
            "capabilities: none",
            "new privileges: no",
            "seccomp: the daemon's profile",
            "root file system: read-only",
            "in memory: /tmp, /run, /var/tmp, /home/gadugi",
            "init: yes",
            "docker.sock: never",
        ]
    );
    let mut call = AgentCall::new("robin", vec![Argument::text("robin")], "Do it.");
    call.resume = Some(vec![Argument(vec![Piece::Session])]);
    task.action = Action::of_agent(call);
    let terms = harness.executor.terms(&task);
    let has = |name: &str, value: &str| terms.iter().any(|(n, v)| (n.as_str(), v.as_str()) == (name, value));
    assert!(has("in memory", "/tmp, /run, /var/tmp"), "{terms:?}");
    assert!(has("home folder", "of the agent, kept until the task is over"), "{terms:?}");
}
