//! The table of formats, and the detection of a file's format.

use crate::format::Format;
use crate::mmap::MappedFile;
use crate::{Error, ctranslate2, ggml, onnx, safetensors, sharded};

/// Every supported format. A directory is searched for their files in this order.
pub(crate) const FORMATS: &[Format] =
    &[ctranslate2::FORMAT, safetensors::FORMAT, sharded::FORMAT, ggml::FORMAT, onnx::FORMAT];

/// The format of a file, detected by its content.
pub(crate) fn detect(file: &MappedFile) -> Result<&'static Format, Error> {
    FORMATS.iter().find(|format| (format.probe)(file.bytes())).ok_or_else(|| Error::UnknownFormat {
        path: file.path().to_owned(),
        looks_like: looks_like(file.bytes()),
        supported: FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", "),
    })
}

/// Describes unsupported files that users often mistake for a supported model.
fn looks_like(bytes: &[u8]) -> &'static str {
    const SIGNATURES: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "is a PyTorch (pickle) checkpoint; save the model as safetensors"),
        (b"\x80\x02", "is a PyTorch (pickle) checkpoint; save the model as safetensors"),
        (b"GGUF", "is a GGUF model; only the ggml-*.bin files of whisper.cpp are supported"),
        (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
        (b"<!DOCTYPE", "is a web page, so the download failed; download it again"),
        (b"<!doctype", "is a web page, so the download failed; download it again"),
        (b"<html", "is a web page, so the download failed; download it again"),
    ];
    match SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        _ if bytes.is_empty() => "is empty; download it again",
        Some((_, description)) => description,
        None => "is in an unknown format",
    }
}
