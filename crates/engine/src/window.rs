//! What the encoder made of a window.

use std::sync::Arc;

use amanuensis_kernels::attention::KeyValues;

use crate::onnx;
use crate::spares::Lent;

/// What the encoder made of a window. Cheap to clone: all clones are the same window.
#[derive(Debug, Clone)]
pub struct Encoded(Arc<Contents>);

#[derive(Debug)]
enum Contents {
    /// Keys and values for the decoder's cross-attention, a layer each.
    Native(Lent<Vec<KeyValues>>),
    Onnx(onnx::Window),
}

impl Encoded {
    pub(crate) fn native(cross: Lent<Vec<KeyValues>>) -> Self {
        Self(Arc::new(Contents::Native(cross)))
    }

    pub(crate) fn onnx(window: onnx::Window) -> Self {
        Self(Arc::new(Contents::Onnx(window)))
    }

    /// Whether both are the same window.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Keys and values for the decoder's cross-attention, a layer each.
    ///
    /// # Panics
    /// If an ONNX runtime made the window.
    pub(crate) fn cross(&self) -> &[KeyValues] {
        match &*self.0 {
            Contents::Native(cross) => cross,
            Contents::Onnx(_) => panic!("a window of another engine"),
        }
    }

    /// What the ONNX runtime made of the window.
    ///
    /// # Panics
    /// If our own encoder made the window.
    pub(crate) fn of_onnx(&self) -> &onnx::Window {
        match &*self.0 {
            Contents::Onnx(window) => window,
            Contents::Native(_) => panic!("a window of another engine"),
        }
    }
}
