//! Reader of safetensors files with Hugging Face's tensor names.
//!
//! The header is parsed by the format's reference implementation, the crate `safetensors`. The length of the file is
//! checked here, because in that crate's check the sum of header and data lengths can overflow, and its error does not
//! say where a truncated file ends.

use ::safetensors::Dtype;
use ::safetensors::tensor::Metadata;

use crate::format::{Contents, Format, is_name};
use crate::mmap::MappedFile;
use crate::tensor::{Entry, Quantisation};
use crate::{DType, Error};

pub(crate) const FORMAT: Format = Format { name: "safetensors", file_names: &["model.safetensors"], probe, read };

/// Longest header that is accepted. A Whisper model needs about 100 bytes for each tensor. The limit bounds the memory
/// that a hostile header can take.
const MAX_HEADER_BYTES: u64 = 8 << 20;

/// The file starts with the length of the header, a u64, and a JSON object.
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

/// Adds a file and its tensors to `contents`. Also used for the shards of a sharded checkpoint.
pub(crate) fn add(file: MappedFile, contents: &mut Contents) -> Result<(), Error> {
    let Some((&length, rest)) = file.bytes().split_first_chunk() else { return Err(file.truncated("the header")) };
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(file.malformed(format!("its header claims {length} bytes; the limit is {MAX_HEADER_BYTES}")));
    }
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        return Err(file.truncated("the header"));
    };
    // Copied before validation: another process could change the mapped bytes after they were validated as UTF-8.
    let header = header.to_vec();
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| file.malformed(format!("its header is not valid: {error}")))?;

    let data_start = size_of_val(&length) + header.len();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        if !is_name(&name) {
            return Err(file.malformed("the name of a tensor is too long or has control characters"));
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
