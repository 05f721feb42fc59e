//! The resource limits that a worker sets for itself.

#[cfg(unix)]
pub(crate) use unix::{allow_cpu_time, set_limits};

#[cfg(unix)]
mod unix {
    use std::io;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Processor seconds that any recording may take, however short it is.
    const BASE_CPU_S: u64 = 30;
    /// One more processor second is allowed for each of these seconds of audio. Every decoder is far faster than that.
    const AUDIO_S_PER_CPU_S: f64 = 10.0;

    /// Limits this process for the rest of its life: `memory_mib` MiB of address space, no further open files, no writing to
    /// files, no child processes and no core dump. The processor time is limited to that of an empty recording.
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
            // Other Unix systems lack some of these limits.
            if cfg!(target_os = "linux") {
                result?;
            }
        }
        allow_cpu_time(0.0)
    }

    /// Raises the limit on processor time to what `audio_s` seconds of audio may take. The worker calls this before each block
    /// of samples, so a decoder that produces none runs into the limit.
    pub(crate) fn allow_cpu_time(audio_s: f64) -> io::Result<()> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Cpu);
        let cpu_s = BASE_CPU_S + (audio_s / AUDIO_S_PER_CPU_S) as u64;
        let current = Some(maximum.map_or(cpu_s, |maximum| cpu_s.min(maximum)));
        Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
    }
}

/// Other systems have no limits that a process could set for itself.
#[cfg(not(unix))]
pub(crate) fn set_limits(_memory_mib: u64) -> std::io::Result<()> {
    Ok(())
}

/// Other systems have no limit on processor time.
#[cfg(not(unix))]
pub(crate) fn allow_cpu_time(_audio_s: f64) -> std::io::Result<()> {
    Ok(())
}
