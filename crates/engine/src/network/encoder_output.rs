//! The result of encoding a window.

use std::sync::Arc;

use amanuensis_kernels::attention::KeyValues;

use super::onnx::OnnxWindow;
use crate::buffer_pool::Pooled;

/// The result of encoding a window, which is the input of decoding. Cloning is cheap: a clone refers to the same
/// data.
#[derive(Debug, Clone)]
pub struct EncoderOutput(Arc<Contents>);

#[derive(Debug)]
enum Contents {
    /// Cross-attention keys and values, one element per layer.
    Native(Pooled<Vec<KeyValues>>),
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "a build without the ONNX runtime has no such values"))]
    Onnx(OnnxWindow),
}

impl EncoderOutput {
    pub(crate) fn native(cross: Pooled<Vec<KeyValues>>) -> Self {
        Self(Arc::new(Contents::Native(cross)))
    }

    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "a build without the ONNX runtime has no such values"))]
    pub(crate) fn onnx(window: OnnxWindow) -> Self {
        Self(Arc::new(Contents::Onnx(window)))
    }

    /// Whether `self` and `other` are clones that refer to the same window.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The native decoder's cross-attention keys and values, one element per layer.
    ///
    /// # Panics
    /// If the ONNX runtime encoded the window.
    pub(crate) fn cross(&self) -> &[KeyValues] {
        match &*self.0 {
            Contents::Native(cross) => cross,
            Contents::Onnx(_) => panic!("a window of another runtime"),
        }
    }

    /// The window that the ONNX runtime encoded.
    ///
    /// # Panics
    /// If the native encoder encoded the window.
    pub(crate) fn onnx_window(&self) -> &OnnxWindow {
        match &*self.0 {
            Contents::Onnx(window) => window,
            Contents::Native(_) => panic!("a window of another runtime"),
        }
    }
}
