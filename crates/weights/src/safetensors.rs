//! A safetensors file with Hugging Face's names.
//!
//! The header is parsed by the reference implementation, the crate `safetensors`. The file's length is checked here,
//! because that crate's check lets the sum of header and data lengths overflow, and does not say where a file is
//! truncated.

use ::safetensors::Dtype;
use ::safetensors::tensor::Metadata;

use crate::format::{Contents, Format, is_name};
use crate::mmap::MappedFile;
use crate::tensor::{Entry, Quantisation};
use crate::{DType, Error};

pub(crate) const FORMAT: Format = Format { name: "safetensors", file_names: &["model.safetensors"], probe, read };

/// Maximum size of a header in bytes, as a protection against hostile files. Whisper models need less (about 100
/// bytes per tensor).
const MAX_HEADER: u64 = 8 << 20;

/// Whether the file begins as a safetensors file: with a length as u64, followed by a JSON object.
fn probe(bytes: &[u8]) -> bool {
    bytes.split_first_chunk().is_some_and(|(&length, json)| {
        (2..1 << 32).contains(&u64::from_le_bytes(length)) && json.first() == Some(&b'{')
    })
}

fn read(file: MappedFile) -> Result<Contents, Error> {
    let mut contents = Contents::new();
    add(file, &mut contents)?;
    Ok(contents)
}

/// Adds a safetensors file and its tensors to `contents`. Also used for each file of a sharded checkpoint.
pub(crate) fn add(file: MappedFile, contents: &mut Contents) -> Result<(), Error> {
    let Some((&length, rest)) = file.bytes().split_first_chunk() else { return Err(file.truncated("the header")) };
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(
            file.malformed(format!("its header claims {length} bytes; no Whisper model needs over {MAX_HEADER}"))
        );
    }
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        return Err(file.truncated("the header"));
    };
    // The header is copied, because the mapped bytes could change after UTF-8 validation.
    let header = header.to_vec();
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| file.malformed(format!("its header is not valid: {error}")))?;

    let data_start = size_of_val(&length) + header.len();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        if !is_name(&name) {
            return Err(file.malformed("a tensor's name is too long or has control characters"));
        }
        let (start, end) = info.data_offsets;
        if end > data.len() {
            return Err(file.truncated(format!("tensor {name}")));
        }
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::Bf16,
            other => {
                return Err(file.unsupported(format!(
                    "tensor {name} is stored as {other:?}, but F32, F16 and BF16 are supported; save the model in one of them"
                )));
            }
        };
        let mut entry =
            Entry::new(dtype, info.shape.clone(), data_start + start..data_start + end, Quantisation::default())
                .map_err(|reason| file.malformed(format!("tensor {name}: {reason}")))?;
        entry.file = contents.files.len();
        let canonical = name.strip_prefix("model.").unwrap_or(&name).to_owned();
        contents.insert(&file, canonical, entry)?;
    }
    if metadata.data_len() < data.len() {
        let rest = data.len() - metadata.data_len();
        return Err(file.malformed(format!("{rest} bytes follow its last tensor")));
    }
    contents.files.push(file);
    Ok(())
}
