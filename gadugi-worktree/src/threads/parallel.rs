//! Parallel work on several items.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

/// Thread limit: the threads share one disk, and the machine with running tasks.
const MAX_THREADS: usize = 4;

/// The number of threads for parallel work: as many as the machine has processors, up to the limit.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// Runs `work` on each item, on a few [`threads`]. The results are in the order of the items.
pub(crate) fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    on_threads(threads(), items, work)
}

/// As [`side_by_side`], on this many threads: threads that wait for a disk may outnumber the processors.
pub(crate) fn on_threads<T: Send, R: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let waiting = Mutex::new(items.into_iter().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let help = || {
        let mut done = Vec::new();
        while let Some((number, item)) = next() {
            done.push((number, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // Where there can be no more threads, fewer do it all.
        let helper = |_| thread::Builder::new().spawn_scoped(scope, help).ok();
        let helpers: Vec<_> = (1..threads).map_while(helper).collect();
        let mut done = help();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
