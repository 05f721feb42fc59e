//! How much a worker may take, of what the system lets it limit.

/// Why a recording is not decoded to its end whose worker has had its time.
#[cfg(unix)]
pub(super) const TOO_SLOW: &str = "it takes too much of the processor's time for its length";

#[cfg(unix)]
pub(super) use unix::{allow, confine};

#[cfg(unix)]
mod unix {
    use std::io;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Seconds of the processor that a worker may take for a recording of any length, and seconds of the recording that give it
    /// one more: far below the speed of any decoder on any machine.
    const SECONDS: u64 = 30;
    const SECONDS_FOR_ONE: f64 = 10.0;

    /// Limits this process, for good: to `memory` MiB, to the files that are open, to no file on disk, no other process
    /// and no core dump; and its time for now.
    pub(crate) fn confine(memory: u64) -> io::Result<()> {
        let limits = [
            (Resource::As, memory.saturating_mul(1 << 20)),
            (Resource::Fsize, 0),
            (Resource::Core, 0),
            (Resource::Nproc, 0),
            (Resource::Nofile, 0),
        ];
        for (resource, most) in limits {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            let set = setrlimit(resource, limit);
            // Other systems do not know all of these.
            if cfg!(target_os = "linux") {
                set?;
            }
        }
        allow(0.0)
    }

    /// Gives this process the time that so many `seconds` of a recording may take. No more can be had while a decoder
    /// gives nothing out.
    pub(crate) fn allow(seconds: f64) -> io::Result<()> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Cpu);
        let most = SECONDS + (seconds / SECONDS_FOR_ONE) as u64;
        let current = Some(maximum.map_or(most, |maximum| most.min(maximum)));
        Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
    }
}

/// This system knows no limits that a process could set itself.
#[cfg(not(unix))]
pub(super) fn confine(_memory: u64) -> std::io::Result<()> {
    Ok(())
}

/// There is no limit to be raised.
#[cfg(not(unix))]
pub(super) fn allow(_seconds: f64) -> std::io::Result<()> {
    Ok(())
}
