//! Loads a design (a compiled program for an NPU) from a directory. The directory contains a description,
//! `design.json`, and the files that the description names.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Argument, Design, Layout, Output, Shape};
use crate::error::Error;
use crate::packet::Start;
use crate::target::Target;
use crate::xclbin::Xclbin;

/// Name of the description file in a design's directory.
const DESCRIPTION: &str = "design.json";
/// The supported version of the description's format.
const FORMAT: u32 = 1;
/// Maximum size in bytes of a file of a design. Files of real designs have a few hundred thousand bytes.
const MAX_FILE: u64 = 64 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    target: Target,
    xclbin: PathBuf,
    /// The name of the kernel in the xclbin file, without the instance name. It may be omitted if the xclbin has only
    /// one kernel.
    kernel: Option<String>,
    instructions: PathBuf,
    #[serde(default)]
    start: HowToStart,
    launch: Shape,
    tile: Shape,
    #[serde(default)]
    b: Layout,
    #[serde(default)]
    output: Output,
    #[serde(default = "default_arguments")]
    arguments: Vec<Argument>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HowToStart {
    #[default]
    Cu,
    Npu,
}

fn default_arguments() -> Vec<Argument> {
    Argument::DEFAULT.to_vec()
}

/// Reads the design (a compiled program for an NPU) in a directory. Returns [`Error::Design`] if its parts are
/// missing or contradict each other.
pub fn load(directory: &Path) -> Result<Design, Error> {
    let unusable = |problem: String| Error::Design { directory: directory.to_owned(), problem };
    read(directory).and_then(|design| design.problem().map_or(Ok(design), Err)).map_err(unusable)
}

fn read(directory: &Path) -> Result<Design, String> {
    let description: Description = serde_json::from_slice(&file(directory, Path::new(DESCRIPTION))?)
        .map_err(|error| format!("{DESCRIPTION}: {error}; docs/npu.md says what belongs there"))?;
    if description.format != FORMAT {
        return Err(format!("{DESCRIPTION} is of format {}, and this program reads {FORMAT}", description.format));
    }
    let xclbin = file(directory, &description.xclbin)?;
    let of_xclbin = |problem: String| format!("{}: {problem}", description.xclbin.display());
    let parsed = Xclbin::parse(&xclbin).map_err(|error| of_xclbin(error.to_string()))?;
    let is_named = |name: &str| description.kernel.as_ref().is_none_or(|kernel| name.split(':').next() == Some(kernel));
    let unit = parsed.units.iter().find(|unit| is_named(unit.name)).ok_or_else(|| {
        let names: Vec<&str> = parsed.units.iter().map(|unit| unit.name).collect();
        of_xclbin(format!("no such kernel; there is {}", names.join(", ")))
    })?;
    let pdi = parsed.pdi_of(unit).ok_or_else(|| of_xclbin(format!("no PDI holds the kernel {}", unit.name)))?;
    Ok(Design {
        directory: directory.to_owned(),
        target: description.target,
        columns: parsed.columns,
        pdi: pdi.image.to_vec(),
        function: unit.function,
        instructions: words(&description.instructions, &file(directory, &description.instructions)?)?,
        start: match description.start {
            HowToStart::Cu => Start::Cu,
            HowToStart::Npu => Start::Npu,
        },
        arguments: description.arguments,
        launch: description.launch,
        tile: description.tile,
        b: description.b,
        output: description.output,
    })
}

fn file(directory: &Path, name: &Path) -> Result<Vec<u8>, String> {
    let path = directory.join(name);
    let message = |error: std::io::Error| format!("{}: {error}", name.display());
    let metadata = fs::metadata(&path).map_err(message)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(format!("{} is not a file, or too large", name.display()));
    }
    fs::read(&path).map_err(message)
}

/// Parses a file of instructions. If its name ends in `.txt`, it has one hexadecimal number per line, otherwise it
/// consists of binary words of 32 bits.
fn words(name: &Path, file: &[u8]) -> Result<Vec<u32>, String> {
    if name.extension().is_some_and(|extension| extension == "txt") {
        let text = std::str::from_utf8(file).map_err(|_| format!("{} is no text", name.display()))?;
        let word = |line: &str| {
            let digits = line.strip_prefix("0x").unwrap_or(line);
            u32::from_str_radix(digits, 16).map_err(|_| format!("{}: {line:?} is no instruction", name.display()))
        };
        return text.split_whitespace().map(word).collect();
    }
    match file.as_chunks::<4>() {
        (words, []) => Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect()),
        _ => Err(format!("{} is not made of 32-bit words", name.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xclbin::tests::xclbin;

    const WHOLE: &str = r#"{
        "format": 1, "target": "npu1", "xclbin": "final.xclbin", "kernel": "MLIR_AIE", "instructions": "insts.txt",
        "launch": {"m": 256, "k": 512, "n": 256}, "tile": {"m": 64, "k": 64, "n": 64},
        "b": "column-major", "output": "int32", "arguments": ["a", "b", "c", "none", "none"], "start": "npu"
    }"#;

    fn directory(description: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
        write("design.json", description.as_bytes());
        write("final.xclbin", &xclbin(4, &[b"the PDI"]));
        write("insts.txt", b"06030100\n0x00000105\n");
        write("insts.bin", &[0, 1, 3, 6, 5, 1, 0, 0]);
        directory
    }

    #[test]
    fn a_design_directory_is_read() {
        for description in [WHOLE.to_owned(), WHOLE.replace("insts.txt", "insts.bin")] {
            let design = load(directory(&description).path()).unwrap();
            assert_eq!((design.target, design.columns, design.pdi.as_slice()), (Target::Npu1, 4, &b"the PDI"[..]));
            assert_eq!((design.instructions.as_slice(), design.start), (&[0x0603_0100, 0x105][..], Start::Npu));
            assert_eq!((design.launch, design.b), (Shape::new(256, 512, 256), Layout::ColumnMajor));
            assert_eq!(design.arguments.len(), 5);
        }
    }

    #[test]
    fn problems_of_a_design_directory_are_reported() {
        let message = |from: &str, to: &str| load(directory(&WHOLE.replace(from, to)).path()).unwrap_err().to_string();
        assert!(message("\"format\": 1", "\"format\": 2").contains("format 2"));
        assert!(message("npu1", "npu9").contains("unknown variant"));
        assert!(message("final.xclbin", "none.xclbin").contains("none.xclbin"));
        assert!(message("final.xclbin", "insts.txt").contains("does not begin"));
        assert!(message("MLIR_AIE", "OTHER").contains("MLIR_AIE:0"));
        assert!(message("\"k\": 512", "\"k\": 500").contains("whole tiles"));
        assert!(message("insts.txt", "final.xclbin").contains("words"), "an odd number of bytes");
        assert!(message("{\"m\": 256", "{\"q\": 1, \"m\": 256").contains("unknown field"));
        assert!(load(Path::new("/nowhere")).unwrap_err().to_string().contains("design.json"));
    }
}
