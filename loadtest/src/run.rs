//! The closed loop: workers that do one operation after another until time or count is up.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{Recorder, Report};

/// When a run ends, and how much goes on at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Workers.
    pub concurrency: u32,
    /// The longest.
    pub duration: Duration,
    /// The most operations.
    pub count: Option<u64>,
    /// Show no progress.
    pub quiet: bool,
}

/// After this many failures in a row a worker waits a moment, so that a dead registry is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Runs `worker` in a loop. Each worker keeps its state (its connection) from one operation to the next; the second
/// argument is the operation's number in the whole run.
pub async fn closed_loop<S, F, Fut>(
    name: &str,
    bounds: Bounds,
    recorder: Recorder,
    states: Vec<S>,
    worker: F,
) -> Report
where
    S: Send + 'static,
    F: Fn(S, u64, Recorder) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = (S, anyhow::Result<()>)> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let end = started + bounds.duration;
    let tasks: Vec<_> = states
        .into_iter()
        .map(|mut state| {
            let (next, worker, recorder) = (next.clone(), worker.clone(), recorder.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if Instant::now() >= end || bounds.count.is_some_and(|count| number >= count) {
                        return;
                    }
                    let outcome;
                    (state, outcome) = worker(state, number, recorder.clone()).await;
                    if let Err(error) = outcome {
                        recorder.failed(&error);
                        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    }
                }
            })
        })
        .collect();
    let progress = tokio::spawn(show_progress(
        name.to_owned(),
        bounds,
        recorder.clone(),
        started,
    ));
    for task in tasks {
        if let Err(error) = task.await {
            recorder.failed(&anyhow::Error::new(error));
        }
    }
    progress.abort();
    recorder.report(name, started.elapsed())
}

async fn show_progress(name: String, bounds: Bounds, recorder: Recorder, started: Instant) {
    let bar = if bounds.quiet {
        ProgressBar::hidden()
    } else {
        bar(bounds)
    };
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        let seconds = started.elapsed().as_secs_f64();
        let done = recorder.operations();
        match bounds.count {
            Some(_) => bar.set_position(done),
            None => {
                bar.set_position(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
        }
        bar.set_message(format!(
            "{name}: {done} done, {:.0}/s, {} failed",
            done as f64 / seconds,
            recorder.failures()
        ));
    }
}

fn bar(bounds: Bounds) -> ProgressBar {
    let length = bounds
        .count
        .unwrap_or_else(|| u64::try_from(bounds.duration.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}")
        .expect("the template is well formed");
    ProgressBar::new(length).with_style(style)
}
