//! Real containers: the daemon of the machine, daemons of a test's own, and an image made of the machine's own tools, since
//! no registry need be there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The line of a test that is skipped since there is no daemon.
const SKIPPED: &str = "skipped: no Docker daemon answers here (GADUGI_TEST_DOCKER=required makes that a failure)";

/// Programs that tests run in containers. Those that a machine does not have are left out.
const TOOLS: &[&str] = &[
    "awk", "basename", "bash", "cat", "chmod", "cp", "cut", "date", "dd", "echo", "env", "false", "find", "git",
    "grep", "head", "id", "kill", "ln", "ls", "mkdir", "mkfifo", "mv", "nproc", "od", "printf", "pwd", "readlink",
    "rm", "sed", "seq", "setsid", "sh", "sleep", "sort", "stat", "tail", "test", "timeout", "touch", "tr", "true",
    "uname", "uniq", "wc", "yes",
];

/// A daemon, asked by the `docker` command, which is not what is tested.
#[derive(Debug, Clone)]
pub struct Docker {
    host: Option<String>,
}

impl Docker {
    /// The daemon of the machine; `None`, and a line that says so, where none answers.
    ///
    /// # Panics
    /// When none answers and `GADUGI_TEST_DOCKER` is `required`.
    #[must_use]
    pub fn of_machine() -> Option<Self> {
        let docker = Self { host: None };
        let answer = docker.try_run(&["version", "--format", "{{.Server.APIVersion}}"]);
        if answer.is_ok_and(|answer| answer.status.success()) {
            return Some(docker);
        }
        assert!(std::env::var("GADUGI_TEST_DOCKER").as_deref() != Ok("required"), "no Docker daemon answers here");
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{SKIPPED}").expect("standard error can be written");
        None
    }

    /// The daemon at a socket.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self { host: Some(format!("unix://{}", socket.display())) }
    }

    /// The command, with the daemon that it asks.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.stdin(Stdio::null());
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    fn try_run(&self, args: &[&str]) -> std::io::Result<Output> {
        self.command().args(args).output()
    }

    /// Runs the command and returns its output, without the last line break.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.try_run(args).expect("docker can be started");
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The ids of all containers with a label, also of those that do not run.
    pub fn containers(&self, label: &str) -> Vec<String> {
        let listed = self.run(&["ps", "-aq", "--no-trunc", "--filter", &format!("label={label}")]);
        listed.lines().map(str::to_owned).collect()
    }

    /// The image with the tools, which goes when the last test lets go of it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn tools(&self) -> ToolsImage {
        ToolsImage::of(self)
    }
}

/// An image with a shell, the usual small programs, and git.
pub struct ToolsImage {
    docker: Docker,
    name: String,
    /// Shared by all that use the image.
    lock: File,
}

impl ToolsImage {
    fn of(docker: &Docker) -> Self {
        // In the folder of the build: not in that of a test, which may end sooner than others that use the image.
        let program = std::env::current_exe().expect("a test knows its program");
        let folder = program.parent().and_then(Path::parent).expect("a test lies in the folder of the build");
        let place = format!("{} {}", docker.host.as_deref().unwrap_or_default(), folder.display());
        let at = place.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let name = format!("gadugi-test/tools:{at}");
        let open = |name: String| File::options().create(true).append(true).open(folder.join(name)).expect("a lock");
        let lock = open(format!("gadugi-test-image-{at}.lock"));
        let making = open(format!("gadugi-test-image-{at}-making.lock"));
        making.lock().expect("a lock");
        lock.lock_shared().expect("a lock");
        if docker.run(&["image", "ls", "-q", &name]).is_empty() {
            let tree = tree_of_tools();
            let mut import = docker.command();
            import.args(["import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-", &name]);
            let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("docker can be started");
            let mut pack = Command::new("tar");
            pack.arg("-C").arg(tree.path()).args(["-c", "."]).stdout(Stdio::piped());
            let mut packed = pack.spawn().expect("tar can be started");
            let mut from = packed.stdout.take().expect("it is piped");
            let mut to = import.stdin.take().expect("it is piped");
            std::io::copy(&mut from, &mut to).expect("the image is taken");
            drop(to);
            assert!(packed.wait().expect("it ends").success() && import.wait().expect("it ends").success());
        }
        Self { docker: docker.clone(), name, lock }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ToolsImage {
    fn drop(&mut self) {
        // Whoever gets it for themselves is the last one.
        self.lock.unlock().ok();
        if self.lock.try_lock().is_ok() {
            self.docker.try_run(&["image", "rm", "-f", &self.name]).ok();
        }
    }
}

/// The tools of this machine, with the libraries that they are linked to.
fn tree_of_tools() -> TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    for folder in ["bin", "etc", "usr/bin", "usr/local/bin", "tmp", "run", "proc", "sys", "dev", "home", "var/tmp"] {
        fs::create_dir_all(tree.path().join(folder)).expect("a folder");
    }
    fs::write(tree.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("a file");
    let mut libraries = BTreeSet::new();
    for tool in TOOLS {
        // Debian's own git rather than another one, whose helpers are elsewhere.
        let places = ["/bin", "/usr/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(tool));
        let Some(file) = places.iter().find(|file| file.is_file()) else { continue };
        let file = file.canonicalize().expect("it is there");
        fs::copy(&file, tree.path().join("bin").join(tool)).expect("a file");
        libraries.extend(libraries_of(&file));
    }
    for library in libraries {
        let place = tree.path().join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(place.parent().expect("it lies in a folder")).expect("a folder");
        fs::copy(&library, place).expect("a file");
    }
    tree
}

/// The files that a program is linked to, by `ldd`.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(PathBuf::from).collect()
}

/// A daemon of a test's own, which can be killed and begun again. Needs root.
pub struct PrivateDaemon {
    folder: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl PrivateDaemon {
    /// Starts it; `None` where there is no `dockerd` or no right to start it, with a line that says so.
    ///
    /// # Panics
    /// When it does not begin, or cannot be tried and `GADUGI_TEST_DOCKER` is `required`.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if !is_root || Command::new("dockerd").arg("--version").output().is_err() {
            assert!(std::env::var("GADUGI_TEST_DOCKER").as_deref() != Ok("required"), "no dockerd can be started here");
            let mut stderr = std::io::stderr();
            writeln!(stderr, "skipped: no dockerd can be started here").expect("standard error can be written");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("daemon.json"), "{}").expect("a file");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut daemon = Self { folder, arguments, process: None };
        daemon.begin();
        Some(daemon)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Asks it by the `docker` command.
    #[must_use]
    pub fn docker(&self) -> Docker {
        Docker::at(&self.socket())
    }

    /// Starts it, again.
    ///
    /// # Panics
    /// When it does not answer within a minute.
    pub fn begin(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let log = File::options().create(true).append(true).open(path("log")).expect("a log");
        // Its containerd dies with it. Until that is reaped, dockerd would take it for one that lives.
        for stale in ["dockerd.pid", "exec/containerd/containerd.pid"] {
            fs::remove_file(path(stale)).ok();
        }
        // In a network of its own: it makes its bridge anew, and would remove that of the machine's own daemon.
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd"]);
        command.arg("--config-file").arg(path("daemon.json"));
        command.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        command.arg("--pidfile").arg(path("dockerd.pid")).arg("-H").arg(format!("unix://{}", self.socket().display()));
        command.args(["--ip-forward=false", "--iptables=false", "--ip6tables=false", "--log-level=warn"]);
        // Where its containerd puts what it was doing when it was late.
        command.env("TMPDIR", self.folder.path());
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(command.spawn().expect("dockerd can be started"));
        let begun = Instant::now();
        while !self.docker().try_run(&["version"]).is_ok_and(|answer| answer.status.success()) {
            let log = || fs::read_to_string(path("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "dockerd does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it, as a crash would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }

    /// Kills its containerd, which it starts anew some ten seconds later.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_containerd(&self) {
        let path = self.folder.path().join("exec/containerd/containerd.pid");
        kill_and_wait(fs::read_to_string(path).expect("it has a containerd").trim());
    }

    /// Kills the first process of a container, as the command's own end would look to its supervisor.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_process(&self, container: &str) {
        kill_and_wait(&self.docker().run(&["inspect", "--format", "{{.State.Pid}}", container]));
    }

    /// Ends it as a service manager does.
    ///
    /// # Panics
    /// When it does not run.
    pub fn terminate(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill can be started").success());
        process.wait().expect("it ends");
    }
}

fn kill_and_wait(pid: &str) {
    assert!(Command::new("kill").args(["-KILL", pid]).status().expect("kill can be started").success());
    while Path::new("/proc").join(pid).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl PrivateDaemon {
    /// Kills the supervisors of its containers, and what they have begun: after [`kill`](Self::kill) all is gone as if the
    /// machine had lost its power.
    pub fn kill_containers(&self) {
        let exec = self.folder.path().join("exec").to_string_lossy().into_owned();
        let listed = Command::new("ps").args(["-eo", "pid=,ppid=,args="]).output();
        let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        let processes: Vec<(&str, &str, &str)> = listed
            .lines()
            .filter_map(|line| {
                let (pid, rest) = line.trim_start().split_once(' ')?;
                let (parent, arguments) = rest.trim_start().split_once(' ')?;
                Some((pid, parent, arguments))
            })
            .collect();
        let is_shim = |arguments: &str| arguments.contains("containerd-shim") && arguments.contains(&exec);
        let shims: Vec<_> =
            processes.iter().filter(|(.., arguments)| is_shim(arguments)).map(|(pid, ..)| *pid).collect();
        let children = processes.iter().filter(|(_, parent, _)| shims.contains(parent)).map(|(pid, ..)| *pid);
        for pid in children.chain(shims.iter().copied()) {
            Command::new("kill").args(["-KILL", pid]).status().ok();
        }
    }
}

impl Drop for PrivateDaemon {
    fn drop(&mut self) {
        if self.process.is_none() {
            self.begin();
        }
        let containers = self.docker().run(&["ps", "-aq"]);
        for container in containers.lines() {
            self.docker().try_run(&["rm", "-f", container]).ok();
        }
        self.terminate();
        // Those of which a daemon that was killed never knew.
        self.kill_containers();
        // Its own containerd ends with it, and takes a moment.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let folder = self.folder.path().to_string_lossy().into_owned();
        let mut left: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        left.retain(|mount| mount.starts_with(&folder));
        for mount in left.iter().rev() {
            Command::new("umount").args(["-l", mount]).status().ok();
        }
        for _ in 0..50 {
            match fs::remove_dir_all(self.folder.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => std::thread::sleep(Duration::from_millis(50)),
                _ => break,
            }
        }
    }
}
