//! The resource limits that a worker sets for its own process.

#[cfg(unix)]
pub(crate) use unix::{allow_cpu_time, set_limits};

#[cfg(unix)]
mod unix {
    use std::io;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// The processor time in seconds that any recording may use, however short the recording is.
    const BASE_CPU_S: u64 = 30;
    /// For every 10 seconds of audio, the worker may use one more second of processor time. All decoders are much
    /// faster than that.
    const AUDIO_S_PER_CPU_S: f64 = 10.0;

    /// Sets resource limits that apply until this process exits: `memory_mib` MiB of address space, no further open
    /// files, no writing to files, no child processes and no core dump. The processor time is limited to that of an
    /// empty recording; [`allow_cpu_time`] raises this limit.
    pub(crate) fn set_limits(memory_mib: u64) -> io::Result<()> {
        let limits = [
            (Resource::As, memory_mib.saturating_mul(1 << 20)),
            (Resource::Fsize, 0),
            (Resource::Core, 0),
            (Resource::Nproc, 0),
            (Resource::Nofile, 0),
        ];
        for (resource, max) in limits {
            let limit = Rlimit { current: Some(max), maximum: Some(max) };
            let result = setrlimit(resource, limit);
            // Unix systems other than Linux lack some of these limits.
            if cfg!(target_os = "linux") {
                result?;
            }
        }
        allow_cpu_time(0.0)
    }

    /// Raises the limit on processor time to the time allowed for `audio_s` seconds of audio. The worker calls this
    /// function before each block of samples. So a decoder that runs on without producing samples exceeds the limit
    /// and is killed.
    pub(crate) fn allow_cpu_time(audio_s: f64) -> io::Result<()> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Cpu);
        let cpu_s = BASE_CPU_S + (audio_s / AUDIO_S_PER_CPU_S) as u64;
        let current = Some(maximum.map_or(cpu_s, |maximum| cpu_s.min(maximum)));
        Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
    }
}

/// On systems other than Unix, a process cannot set such limits for itself.
#[cfg(not(unix))]
pub(crate) fn set_limits(_memory_mib: u64) -> std::io::Result<()> {
    Ok(())
}

/// On systems other than Unix, the processor time is not limited.
#[cfg(not(unix))]
pub(crate) fn allow_cpu_time(_audio_s: f64) -> std::io::Result<()> {
    Ok(())
}
