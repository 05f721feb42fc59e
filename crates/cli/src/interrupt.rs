//! Ctrl-C, and whatever else asks a program to end: the first one asks the work at hand to stop where it can, the second ends the program.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// The user's wish to stop.
#[derive(Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    /// Whether something is going on that asks for the wish, and has something to keep.
    heeded: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C, SIGTERM and SIGHUP for the rest of the process. While nothing heeds it, it ends the program as ever.
    pub fn install() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self { requested, heeded } = interrupt.clone();
        let handler = move || {
            let again = requested.swap(true, Ordering::SeqCst);
            if again || !heeded.load(Ordering::SeqCst) {
                process::exit(130);
            }
        };
        ctrlc::set_handler(handler).map_err(|error| Failure::Failed(format!("cannot listen for Ctrl-C: {error}")))?;
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
