//! The memory that the process uses and the memory that is available on the machine, as Linux reports them.

/// The largest amount of memory that this process has used so far, in MB. `None` if the system does not report it.
pub fn peak_rss_mb() -> Option<f64> {
    Some(kib_field("/proc/self/status", "VmHWM:")? as f64 * 1024.0 / 1e6)
}

/// The available memory in bytes. If the system does not report it, 2 GiB is returned.
pub fn available_bytes() -> u64 {
    kib_field("/proc/meminfo", "MemAvailable:").and_then(|kib| kib.checked_mul(1024)).unwrap_or(2 << 30)
}

/// Reads the value of the field `name` in `file`, a file such as `/proc/meminfo`. The value is in KiB. `None` if
/// there is no such field. A field looks like `VmHWM: 1234 kB`.
fn kib_field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
