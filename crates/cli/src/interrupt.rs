//! Ctrl-C, and SIGTERM, which asks the same: the first one asks the work at hand to stop where it can, the second ends
//! the program. A server decides by itself what it makes of them.

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

/// The user's wish to stop.
#[derive(Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    /// Whether something is going on that asks for the wish, and has something to keep.
    heeded: Arc<AtomicBool>,
    heir: Arc<OnceLock<Heir>>,
}

/// What is called instead of all that.
type Heir = Box<dyn Fn() + Send + Sync>;

impl Interrupt {
    /// Takes over Ctrl-C and SIGTERM for the rest of the process. While nothing heeds them, they end the program as ever.
    pub fn install() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self { requested, heeded, heir } = interrupt.clone();
        let handler = move || {
            if let Some(heir) = heir.get() {
                return heir();
            }
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

    /// From now on, every Ctrl-C and SIGTERM calls `heir`, and does nothing else.
    pub fn hand_over(&self, heir: impl Fn() + Send + Sync + 'static) {
        assert!(self.heir.set(Box::new(heir)).is_ok(), "there is an heir already");
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
