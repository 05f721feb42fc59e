//! The options that affect the speed, but not the transcript.

use amanuensis_transcribe::DeviceOptions;

use super::device::DeviceArgs;
use crate::failure::Failure;
use crate::load::thread_count;
use crate::values;

/// Options for the threads, the batch size and the device.
#[derive(Debug, clap::Args)]
pub struct PerformanceArgs {
    /// Number of CPU threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = values::thread_count(), help_heading = "Performance")]
    threads: Option<usize>,

    /// Number of windows decoded together with --strategy batched [default: depends on the model size]
    ///
    /// The result does not depend on this number.
    #[arg(long, value_name = "N", value_parser = values::batch_size(), help_heading = "Performance")]
    batch_size: Option<usize>,

    #[command(flatten)]
    device: DeviceArgs,
}

impl PerformanceArgs {
    pub fn threads(&self) -> usize {
        thread_count(self.threads)
    }

    /// The batch size that the user set. `None` means that the library chooses it.
    pub fn batch_size(&self) -> Option<usize> {
        self.batch_size
    }

    /// Returns the device options of the engine. Fails if the options contradict each other.
    pub fn device_options(&self) -> Result<DeviceOptions, Failure> {
        self.device.options()
    }
}
