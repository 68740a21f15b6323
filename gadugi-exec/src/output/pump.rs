//! Moves a command's output from its pipe into its log, and its input into the command.

use gadugi_core::executor::OutputSummary;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use super::capped_log::CappedLog;

/// Bytes per read: as many as a pipe holds.
const READ_SIZE: usize = 64 << 10;

/// Reads until every process has closed the pipe, or until `cut`, also when the log cannot be written: a command never waits
/// for its log. `printed` counts bytes when they are in the log.
pub(crate) async fn drain(
    pipe: pipe::Receiver,
    mut log: CappedLog,
    printed: watch::Sender<u64>,
    mut cut: oneshot::Receiver<()>,
) -> OutputSummary {
    let mut bytes = 0;
    let mut buffer = Vec::new();
    let leaked = loop {
        tokio::select! {
            biased;
            _ = &mut cut => break true,
            ready = pipe.readable() => if ready.is_err() { break false },
        }
        buffer.clear();
        buffer.reserve(READ_SIZE);
        match pipe.try_read_buf(&mut buffer) {
            Ok(0) => break false,
            Ok(count) => bytes += count as u64,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break false,
        }
        let write = move || {
            log.write(&buffer);
            (log, buffer)
        };
        // It fails only when the runtime is being shut down.
        let Ok(returned) = spawn_blocking(write).await else {
            return OutputSummary { bytes, dropped: bytes, leaked: false };
        };
        (log, buffer) = returned;
        printed.send_replace(bytes);
    };
    drop(pipe);
    let kept = if bytes == 0 { 0 } else { spawn_blocking(|| log.finish()).await.unwrap_or(0) };
    OutputSummary { bytes, dropped: bytes - kept, leaked }
}

/// Writes all of `text` and closes the pipe. A command that does not read it to its end is no error.
pub(crate) async fn feed(mut pipe: pipe::Sender, text: String) {
    pipe.write_all(text.as_bytes()).await.ok();
}
