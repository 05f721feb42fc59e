//! The list of supported formats. To add a format, write one file and add one entry here.

use crate::format::Format;
use crate::mmap::MappedFile;
use crate::{Error, ctranslate2, ggml, onnx, safetensors, sharded};

/// All supported formats. A directory is searched for files of the first format, then of the second, and so on.
pub(crate) const FORMATS: &[Format] =
    &[ctranslate2::FORMAT, safetensors::FORMAT, sharded::FORMAT, ggml::FORMAT, onnx::FORMAT];

/// Detects the format of a file by its content. If the format is not supported, the error describes the content.
pub(crate) fn detect(file: &MappedFile) -> Result<&'static Format, Error> {
    FORMATS.iter().find(|format| (format.probe)(file.bytes())).ok_or_else(|| Error::UnknownFormat {
        path: file.path().to_owned(),
        looks_like: looks_like(file.bytes()),
        supported: FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", "),
    })
}

/// Describes the content of a file that is in no supported format. Recognises files that are often given by mistake,
/// such as web pages.
fn looks_like(bytes: &[u8]) -> &'static str {
    const SIGNATURES: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "is a PyTorch (pickle) checkpoint; save the model as safetensors"),
        (b"\x80\x02", "is a PyTorch (pickle) checkpoint; save the model as safetensors"),
        (b"GGUF", "is a GGUF model; whisper.cpp's ggml-*.bin files are not GGUF files"),
        (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
        (b"<!DOCTYPE", "is a web page, so its download went wrong; fetch it again"),
        (b"<!doctype", "is a web page, so its download went wrong; fetch it again"),
        (b"<html", "is a web page, so its download went wrong; fetch it again"),
    ];
    match SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        _ if bytes.is_empty() => "is empty; fetch it again",
        Some((_, name)) => name,
        None => "is in an unknown format",
    }
}
