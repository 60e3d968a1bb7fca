//! Rows of a map shared out over the threads of rayon's pool; without the feature `threads` everything runs here.
//!
//! Goes in: how many threads, a range of rows, the output that they fill, room for each thread, the work. Comes out:
//! the output, the same to the bit however many threads there are, for every row is computed by one of them alone.
//!
//! A layer takes less time than a thread needs to fall asleep and wake, so those that have nothing to do look for
//! work for a while longer than rayon's own would: from the first layer of a run until some time after the last.
//!
//! Threads are seldom equally fast: cores of a phone are large and small, and other programs want them too. So nobody has
//! a fixed share: each takes rows as long as there are any, many at first and fewer towards the end, half of the threads
//! from the top and half from the bottom, where they find in their caches what they wrote in the layer before.

use std::ops::Range;

/// How many threads work on a layer of a network that is made now: the pool's, or as many as [`limit`] says.
pub fn count() -> usize {
    #[cfg(feature = "threads")]
    return rayon::current_num_threads().min(pool::LIMIT.load(std::sync::atomic::Ordering::Relaxed));
    #[cfg(not(feature = "threads"))]
    1
}

/// Networks that are made from now on share their rows out over `threads` of the pool's threads at most; one or more.
pub fn limit(threads: usize) {
    #[cfg(feature = "threads")]
    pool::LIMIT.store(threads.max(1), std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(feature = "threads"))]
    let _ = threads;
}

/// Fills `output`, `line` values for each of `rows` of `width` pixels, by `work`, which gets some of the rows, their part of
/// the output and `each` values of `scratch`, of which there are `each` for every one of `threads`.
pub fn share<O: Send, S: Send>(
    threads: usize,
    (rows, width): (Range<usize>, usize),
    (line, output): (usize, &mut [O]),
    (each, scratch): (usize, &mut [S]),
    work: impl Fn(Range<usize>, &mut [O], &mut [S]) + Sync,
) {
    #[cfg(feature = "threads")]
    if threads.min(rows.len()) > 1 {
        pool::share(threads.min(rows.len()), (rows, width), (line, output), (each, scratch), &work);
        return;
    }
    let _ = (threads, width, line, each);
    work(rows, output, scratch);
}

/// To be called before the first layer: whoever sleeps is woken while the first rows are being computed.
pub fn wake(threads: usize) {
    #[cfg(feature = "threads")]
    if threads > 1 {
        pool::wake(threads);
    }
    #[cfg(not(feature = "threads"))]
    let _ = threads;
}

#[cfg(feature = "threads")]
mod pool {
    use std::ops::Range;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    /// Looks for work, without finding any, after which a thread may sleep: a millisecond or so.
    const PATIENCE: usize = 8192;

    /// Pixels that a thread takes at least, for each time it reads the layer's weights. Less than a band has: towards the end of
    /// a layer it matters more that nobody waits.
    const FEWEST_PIXELS: usize = 24;

    /// See [`limit`](super::limit).
    pub static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

    /// Which of the pool's first 64 threads are awake, a bit each.
    static AWAKE: AtomicU64 = AtomicU64::new(0);

    fn bit(thread: usize) -> u64 {
        u32::try_from(thread).ok().and_then(|thread| 1_u64.checked_shl(thread)).unwrap_or(0)
    }

    pub fn wake(threads: usize) {
        let here = rayon::current_thread_index();
        let others =
            (0..threads).filter(|&thread| Some(thread) != here).map(bit).fold(0, |all, bit| all | bit);
        if AWAKE.load(Ordering::Relaxed) & others == others {
            return;
        }
        rayon::spawn_broadcast(move |context| {
            let bit = bit(context.index());
            if context.index() < threads
                && Some(context.index()) != here
                && AWAKE.fetch_or(bit, Ordering::Relaxed) & bit == 0
            {
                work_until(|| false);
                AWAKE.fetch_and(!bit, Ordering::Relaxed);
            }
        });
    }

    /// Does what work there is until `done`, or until there was none for a while.
    fn work_until(done: impl Fn() -> bool) {
        let mut idle = 0;
        while idle < PATIENCE && !done() {
            if rayon::yield_now() == Some(rayon::Yield::Executed) {
                idle = 0;
            } else {
                idle += 1;
                std::hint::spin_loop();
            }
        }
    }

    pub fn share<O: Send, S: Send>(
        threads: usize,
        (rows, width): (Range<usize>, usize),
        (line, output): (usize, &mut [O]),
        (each, scratch): (usize, &mut [S]),
        work: &(impl Fn(Range<usize>, &mut [O], &mut [S]) + Sync),
    ) {
        // No more than an even share, or some would get none.
        let fewest = FEWEST_PIXELS.div_ceil(width.max(1)).min(rows.len().div_ceil(threads));
        let left = Mutex::new(Left { rows, output, line, fewest, threads });
        let unfinished = AtomicUsize::new(threads);
        let each_of_them = |index: usize, scratch: &mut [S]| {
            while let Some((rows, output)) = take(&left, index) {
                work(rows, output, scratch);
            }
            unfinished.fetch_sub(1, Ordering::AcqRel);
        };
        split(0..threads, each, scratch, &each_of_them, &unfinished);
    }

    /// Has `work` done for each of `threads`, with room of its own. The caller's own is the first.
    fn split<S: Send>(
        threads: Range<usize>,
        each: usize,
        scratch: &mut [S],
        work: &(impl Fn(usize, &mut [S]) + Sync),
        unfinished: &AtomicUsize,
    ) {
        if threads.len() == 1 {
            work(threads.start, scratch);
            return;
        }
        let half = threads.len() / 2;
        let middle = threads.start + half;
        let (here, there) = scratch.split_at_mut(half * each);
        rayon::join(
            || {
                split(threads.start..middle, each, here, work, unfinished);
                // Rayon would soon put this thread to sleep, and the next layer would wait for it to wake.
                work_until(|| unfinished.load(Ordering::Acquire) == 0);
            },
            || split(middle..threads.end, each, there, work, unfinished),
        );
    }

    /// Rows that nobody has taken yet, and their part of the output.
    struct Left<'a, O> {
        rows: Range<usize>,
        output: &'a mut [O],
        line: usize,
        fewest: usize,
        threads: usize,
    }

    /// The next rows for thread `index`: three quarters of an even share of what is left.
    fn take<'a, O>(left: &Mutex<Left<'a, O>>, index: usize) -> Option<(Range<usize>, &'a mut [O])> {
        // Held for some instructions; and a page's main thread may not wait.
        let mut left = loop {
            match left.try_lock() {
                Ok(left) => break left,
                Err(_) => std::hint::spin_loop(),
            }
        };
        let Range { start, end } = left.rows;
        let count = (3 * (end - start)).div_ceil(4 * left.threads).max(left.fewest).min(end - start);
        if count == 0 {
            return None;
        }
        let (length, output) = (count * left.line, std::mem::take(&mut left.output));
        if index < left.threads.div_ceil(2) {
            let (taken, rest) = output.split_at_mut(length);
            (left.output, left.rows) = (rest, start + count..end);
            Some((start..start + count, taken))
        } else {
            let (rest, taken) = output.split_at_mut(output.len() - length);
            (left.output, left.rows) = (rest, start..end - count);
            Some((end - count..end, taken))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_given_to_one_thread_with_room_of_its_own() {
        for threads in 1..6 {
            for rows in [1, 2, 3, 7, 16] {
                let mut output = vec![0; 3 * rows];
                let mut scratch = vec![0; 2 * threads];
                let threads = if cfg!(feature = "threads") { threads } else { 1 };
                share(
                    threads,
                    (5..5 + rows, 2),
                    (3, &mut output),
                    (2, &mut scratch),
                    |rows, output, scratch| {
                        assert_eq!(output.len(), 3 * rows.len());
                        assert!(scratch.len() >= 2);
                        scratch.fill(rows.start);
                        for (row, line) in rows.clone().zip(output.chunks_exact_mut(3)) {
                            line.fill(row);
                        }
                        assert!(scratch.iter().all(|&value| value == rows.start));
                    },
                );
                let wanted: Vec<usize> = (5..5 + rows).flat_map(|row| [row; 3]).collect();
                assert_eq!(output, wanted, "{threads} threads, {rows} rows");
            }
        }
    }
}
