//! The tensors that the ONNX runtime keeps for a window and for a sequence.

use std::sync::{Arc, OnceLock};

use rten::Value;
use rten_tensor::Layout;

/// The encoder's output for a window, and what the decoder computes from it.
#[derive(Debug)]
pub(crate) struct OnnxWindow {
    /// The encoder's states, `(1, n_audio_ctx, d_model)`.
    pub(super) states: Value,
    /// The cross-attention keys and values, each `(1, heads, n_audio_ctx, width)`: for each layer the key, then the
    /// value. The first decoder pass (run of the decoder graph) over the window sets them.
    pub(super) cross: OnceLock<Vec<Value>>,
}

/// The self-attention keys and values of a sequence, each `(1, heads, n_tokens, width)`: for each layer the key, then
/// the value. They never change once they are computed, so copies of a sequence share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnnxCache(pub(super) Arc<Vec<Value>>);

impl OnnxWindow {
    /// The encoder's states, `(n_audio_ctx, d_model)`.
    pub(crate) fn states(&self) -> &[f32] {
        // Cannot fail: `OnnxModel::encode` created the tensor from a vector, so it is contiguous.
        self.states.as_tensor_view().and_then(|view| view.data()).expect("states are contiguous")
    }
}

impl OnnxCache {
    /// Name and shape of each tensor, layer by layer. Within a layer, self-attention comes before cross-attention.
    pub(crate) fn shapes(&self, window: &OnnxWindow) -> Vec<(String, Vec<usize>)> {
        let cross = window.cross.get().map(Vec::as_slice).unwrap_or_default();
        let pairs = self.0.chunks(2).zip(cross.chunks(2)).enumerate();
        let named = pairs.flat_map(|(layer, (own, cross))| {
            let names = ["decoder.key", "decoder.value", "encoder.key", "encoder.value"];
            let values = own.iter().chain(cross);
            names.into_iter().zip(values).map(move |(name, value)| (format!("{layer}.{name}"), value.shape().to_vec()))
        });
        named.collect()
    }
}

/// Creates a tensor of the given shape. `values` must have as many elements as the shape.
pub(super) fn tensor<T, const N: usize>(shape: [usize; N], values: Vec<T>) -> Value
where
    Value: From<rten_tensor::Tensor<T>>,
{
    rten_tensor::Tensor::from_data(shape.as_slice(), values).into()
}
