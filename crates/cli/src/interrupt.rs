//! Ctrl-C, and SIGTERM, which asks the same: the first one asks the work at hand to stop where it can, the second ends
//! the program.

#[cfg(unix)]
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::thread;

#[cfg(unix)]
use signal_hook::consts::{SIGINT, SIGTERM};
#[cfg(unix)]
use signal_hook::iterator::Signals;

use crate::failure::Failure;

/// The user's wish to stop.
#[derive(Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    /// Whether something is going on that asks for the wish, and has something to keep.
    heeded: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C and SIGTERM for the rest of the process. While nothing heeds them, they end the program as ever.
    pub fn install() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self { requested, heeded } = interrupt.clone();
        let handler = move || {
            let again = requested.swap(true, Ordering::SeqCst);
            if again || !heeded.load(Ordering::SeqCst) {
                process::exit(130);
            }
        };
        listen(handler).map_err(|error| Failure::Failed(format!("cannot listen for Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    /// Runs `work`, which asks [`Self::is_requested`] now and then.
    pub fn heed<T>(&self, work: impl FnOnce() -> T) -> T {
        self.heeded.store(true, Ordering::SeqCst);
        let result = work();
        self.heeded.store(false, Ordering::SeqCst);
        result
    }

    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

/// Calls `handler` at every Ctrl-C or SIGTERM.
///
/// Not at SIGHUP: `nohup` starts programs with that ignored, and a handler would undo it.
#[cfg(unix)]
fn listen(handler: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || signals.forever().for_each(|_| handler()));
    Ok(())
}

/// Calls `handler` at every Ctrl-C.
#[cfg(not(unix))]
fn listen(handler: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(handler)
}
