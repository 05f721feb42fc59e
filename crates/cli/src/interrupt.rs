//! Handling of Ctrl-C and SIGTERM.
//!
//! The first signal asks the running work to stop as soon as it can. The second signal ends the program immediately.
//! The server replaces this behaviour with a signal handler of its own.

#[cfg(unix)]
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
#[cfg(unix)]
use std::thread;

#[cfg(unix)]
use signal_hook::consts::{SIGINT, SIGTERM};
#[cfg(unix)]
use signal_hook::iterator::Signals;

use crate::failure::Failure;

/// A flag that is set when the user asks the program to stop, with Ctrl-C or SIGTERM.
#[derive(Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    /// Whether the running work regularly checks the flag `requested`. If it does not, the first signal ends the
    /// program immediately.
    is_polled: Arc<AtomicBool>,
    handler: Arc<OnceLock<Handler>>,
}

/// A function that is called for every signal, instead of the default behaviour.
type Handler = Box<dyn Fn() + Send + Sync>;

impl Interrupt {
    /// Installs the signal handler for the rest of the process. While no work runs in [`Self::run_interruptible`],
    /// the first signal ends the program immediately.
    pub fn install() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self { requested, is_polled, handler } = interrupt.clone();
        let on_signal = move || {
            if let Some(handler) = handler.get() {
                return handler();
            }
            let is_second = requested.swap(true, Ordering::SeqCst);
            if is_second || !is_polled.load(Ordering::SeqCst) {
                process::exit(130);
            }
        };
        on_each_signal(on_signal).map_err(|error| Failure::Failed(format!("cannot handle Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    /// Runs `work`, which must regularly check [`Self::is_requested`] and stop if it returns true. Returns the result
    /// of `work`.
    pub fn run_interruptible<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_polled.store(true, Ordering::SeqCst);
        let result = work();
        self.is_polled.store(false, Ordering::SeqCst);
        result
    }

    /// Replaces what happens at later signals: from now on, a signal only calls `handler`.
    ///
    /// # Panics
    /// If this function was already called.
    pub fn set_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        assert!(self.handler.set(Box::new(handler)).is_ok(), "the signal handler is already set");
    }

    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

/// Calls `handler` for every Ctrl-C or SIGTERM, on a separate thread.
///
/// SIGHUP is left alone: `nohup` makes programs ignore SIGHUP, and a signal handler for it would undo that.
#[cfg(unix)]
fn on_each_signal(handler: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || signals.forever().for_each(|_| handler()));
    Ok(())
}

/// Calls `handler` for every Ctrl-C.
#[cfg(not(unix))]
fn on_each_signal(handler: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(handler)
}
