//! System calls without a safe form, of the shim and for orders to it.
#![expect(
    unsafe_code,
    reason = "fork into a cgroup, execve, signal masks, signalfd and signals with a value have no safe form"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::Pid;

/// The side of a fork.
pub(crate) enum Forked {
    Parent { child: Pid },
    Child,
}

/// Makes a child that is a copy of this process, within the cgroup whose folder is given.
///
/// To be called by a process with a single thread only: in a process with more, the child would find the
/// locks of the others taken for ever.
pub(crate) fn fork(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let forked = match cgroup {
        // SAFETY: fork takes no memory, and there is no second thread, as the caller promises.
        None => i64::from(unsafe { libc::fork() }),
        Some(cgroup) => {
            let mut args = CloneArgs { exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
            args.flags = CLONE_INTO_CGROUP;
            args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(u64::MAX);
            // SAFETY: the structure is valid and of the size that is said, and without CLONE_VM the child
            // has its own copy of all memory, as after fork. What libc does on a fork beyond the call
            // concerns other threads, which there are none of, and the thread's own number, which neither the
            // child nor what it calls asks for.
            unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) }
        }
    };
    match forked {
        0 => Ok(Forked::Child),
        child => match i32::try_from(child).ok().filter(|&child| child > 0).and_then(Pid::from_raw) {
            Some(child) => Ok(Forked::Parent { child }),
            None => Err(io::Error::last_os_error()),
        },
    }
}

/// The flag of `linux/sched.h`; the constant of libc is too narrow for its value.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The first version of the argument of clone3(2) that knows cgroups.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The arguments of execve(2), made before the fork.
pub(crate) struct ExecArguments {
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl ExecArguments {
    pub(crate) fn new(program: CString, argv: Vec<CString>, env: Vec<CString>) -> Self {
        Self { program, argv, env }
    }

    /// Executes the program in the place of this one. Returns only when that fails.
    pub(crate) fn exec(&self) -> io::Error {
        let argv = pointers(&self.argv);
        let env = pointers(&self.env);
        // SAFETY: the program ends with a zero byte, as do all strings of the two arrays, which end with a
        // null pointer; all of them live through the call.
        unsafe { libc::execve(self.program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        io::Error::last_os_error()
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_c_str()).map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// Puts a file in the place of standard input, output or errors, from where programs inherit it.
pub(crate) fn put_in_place(file: BorrowedFd<'_>, place: libc::c_int) -> io::Result<()> {
    // SAFETY: the calls take two numbers. The place is one of the three that nothing in this process owns.
    let put = unsafe {
        if file.as_raw_fd() == place {
            libc::fcntl(place, libc::F_SETFD, 0)
        } else {
            libc::dup2(file.as_raw_fd(), place)
        }
    };
    if put == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends a forked child without running what is due at the end of its parent.
pub(crate) fn exit_child() -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(127) }
}

/// Gives this process a name in the list of processes, instead of that of the file which it executes.
pub(crate) fn set_process_name(name: &CStr) {
    // SAFETY: the name ends with a zero byte. The call fails for no name, and cuts one that is too long.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Closes all files but standard input, output and errors.
pub(crate) fn close_inherited() {
    // SAFETY: it is called first in the process, which owns no file yet.
    // Before Linux 5.9 the call fails, and what was inherited stays open.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Releases the unchanged pages of the program and its libraries. Pages that are needed again come back from their files; a
/// waiting shim needs few. A program that is its own shim would else hold megabytes for each command.
pub(crate) fn release_program_pages() {
    // SAFETY: the function is valid, and the data is not used by it.
    unsafe { libc::dl_iterate_phdr(Some(release_object_pages), ptr::null_mut()) };
}

/// Releases the pages of one program or library.
///
/// # Safety
/// To be called by dl_iterate_phdr(3).
unsafe extern "C" fn release_object_pages(
    object: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the caller gives a valid object, whose segments are an array of that length.
    let (base, segments) = unsafe {
        let object = &*object;
        (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
    };
    let page = rustix::param::page_size();
    for segment in segments {
        // Nothing has ever been written to these, not even when the program was loaded.
        if segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0 {
            let from = usize::try_from(base + segment.p_vaddr).unwrap_or(0);
            let to = from + usize::try_from(segment.p_memsz).unwrap_or(0);
            let (from, to) = (from.next_multiple_of(page), to / page * page);
            if from < to {
                // SAFETY: the pages lie within a private mapping of a file and were never written to, so each is
                // the same when it is read from the file again. If that fails, nothing is changed.
                unsafe { libc::madvise(ptr::without_provenance_mut(from), to - from, libc::MADV_DONTNEED) };
            }
        }
    }
    0
}

/// Blocks all signals that can be blocked, for this thread. Returns the signals that were blocked before.
pub(crate) fn block_signals() -> Blocked {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills the new set, and pthread_sigmask, which cannot fail with these arguments, the
    // old one.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &all_signals(), before.as_mut_ptr());
        Blocked { before: before.assume_init() }
    }
}

/// The signals that a thread had blocked.
pub(crate) struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    pub(crate) fn restore(self) {
        // SAFETY: the set was filled by the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

fn all_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills the set.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        all.assume_init()
    }
}

/// Resets all signals to their defaults.
pub(crate) fn reset_dispositions() {
    const HIGHEST: libc::c_int = 64;
    for signal in 1..=HIGHEST {
        // SAFETY: the default needs no function. For numbers that are no signals, and for those that cannot be
        // changed, the call fails and changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Resets all signals to their defaults, and unblocks them, as in a new process.
pub(crate) fn reset_signals() {
    reset_dispositions();
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Returns a file from which blocked signals are read.
pub(crate) fn signalfd(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set; a new descriptor is nobody else's.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// A received signal, and its value, if it has one.
pub(crate) struct Signalled {
    pub(crate) signal: libc::c_int,
    pub(crate) value: Option<u32>,
}

/// Reads the next signal; `None` when there is none now.
pub(crate) fn next_signal(signalfd: BorrowedFd<'_>) -> Option<Signalled> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is as long as is said; it is used only when the call has filled all of it.
    let info = unsafe {
        let read = libc::read(signalfd.as_raw_fd(), info.as_mut_ptr().cast(), size);
        if usize::try_from(read) != Ok(size) {
            return None;
        }
        info.assume_init()
    };
    let value = (info.ssi_code == libc::SI_QUEUE).then_some(info.ssi_int.cast_unsigned());
    Some(Signalled { signal: i32::try_from(info.ssi_signo).ok()?, value })
}

/// Returns a child that has ended, without reaping it.
pub(crate) fn first_ended() -> Option<Pid> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a place of the right type. Zeroes are a valid value, and are left, or put there,
    // when there is no such child; else the call fills in what belongs to a child.
    let pid = unsafe {
        libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
        info.assume_init().si_pid()
    };
    Pid::from_raw(pid)
}

/// Sends a signal with a value to the process that `pidfd` stands for, as sigqueue(3) does to a pid.
pub(crate) fn queue_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int, value: u32) -> io::Result<()> {
    let mut info = SignalInfo {
        signal,
        errno: 0,
        code: libc::SI_QUEUE,
        sender: Sender { pid: rustix::process::getpid().as_raw_nonzero().get(), user: 0, value: value as usize },
        rest: [0; 96],
    };
    info.sender.user = rustix::process::getuid().as_raw();
    // SAFETY: the structure is at least as long as what the kernel reads, which is 128 bytes.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, &raw const info, 0) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A `siginfo_t` of a signal with a value, which libc does not let us fill.
#[repr(C)]
struct SignalInfo {
    signal: libc::c_int,
    errno: libc::c_int,
    code: libc::c_int,
    sender: Sender,
    rest: [u8; 96],
}

#[repr(C)]
struct Sender {
    pid: libc::pid_t,
    user: libc::uid_t,
    /// Of the size and the alignment of a pointer, as `sigval` is.
    value: usize,
}

const _: () = assert!(size_of::<SignalInfo>() >= size_of::<libc::siginfo_t>());
