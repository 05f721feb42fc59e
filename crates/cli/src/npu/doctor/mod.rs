//! `amanuensis doctor`: checks everything that an NPU needs, starting with the device. Then the NPU computes test
//! products, which must equal the expected results bit for bit.

pub mod args;
mod checks;
mod report;

use amanuensis_engine::Device;
use amanuensis_xdna::Machine;

use crate::failure::Failure;
use crate::stdout::print;
use args::DoctorArgs;
use checks::Examination;

pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    if args.device == Device::NpuFake && args.npu_design.is_some() {
        return Err(Failure::Usage("the fake NPU has a design of its own: omit --npu-design".to_owned()));
    }
    let examination = Examination::run(args.device, Machine::here(), args.npu_design.as_deref());
    print(&if args.json { format!("{}\n", report::json(&examination)) } else { report::list(&examination) })?;
    if examination.is_ok() { Ok(()) } else { Err(Failure::Reported) }
}
