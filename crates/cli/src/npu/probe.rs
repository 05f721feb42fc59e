//! Checks whether the NPU of this machine can be used.

use std::path::Path;

use amanuensis_xdna::design;
use amanuensis_xdna::{Error, Machine};

/// The result of looking for an NPU.
pub enum Probe {
    /// The NPU can be used. The text describes it.
    Usable(String),
    /// The machine has an NPU, but it cannot be used. The text says why.
    Unusable(String),
    /// The machine has no NPU. The text is a message that tells the user so.
    Absent(String),
}

/// Looks for an NPU, and checks the design (the program for the NPU) in `directory`.
pub fn probe(directory: Option<&Path>) -> Probe {
    let machine = Machine::here();
    match check(&machine, directory) {
        Ok(detail) => Probe::Usable(detail),
        Err(reason) if machine.has_npu() => Probe::Unusable(reason),
        Err(reason) => Probe::Absent(reason),
    }
}

/// Checks that the NPU can be used. Returns its description, or the reason why it cannot be used.
fn check(machine: &Machine, directory: Option<&Path>) -> Result<String, String> {
    let message = |error: Error| error.to_string();
    // The design (the program for the NPU) is checked even on machines without an NPU.
    let found = machine.device().map_err(|error| match directory.map(design::load) {
        Some(Err(problem)) => format!("{error}; {problem}"),
        _ => message(error),
    })?;
    let info = found.open().and_then(|mut driver| Ok(driver.info()?)).map_err(message)?;
    let name = found.name.as_deref().unwrap_or(&found.pci_id);
    let device = format!("{name} at {}, {} columns", found.path.display(), info.columns);
    let Some(directory) = directory else {
        return Err(format!("{device}: it needs a design, --npu-design DIR; docs/npu.md says how to build one"));
    };
    let design = design::load(directory).map_err(message)?;
    if found.target.is_some_and(|target| target != design.target) {
        let device = found.target.map_or_else(String::new, |target| target.to_string());
        return Err(message(Error::OtherTarget { design: design.target.name(), device }));
    }
    Ok(format!(
        "{device}, with the design in {}; untested on hardware, check it with `amanuensis doctor`",
        directory.display()
    ))
}
