//! Replaces the tensors of the ONNX runtime in a build without the cargo feature `onnx`. No values of these types are
//! ever created.

#[derive(Debug)]
pub(crate) enum OnnxWindow {}

#[derive(Debug, Clone)]
pub(crate) enum OnnxCache {}

impl OnnxWindow {
    pub(crate) fn states(&self) -> &[f32] {
        match *self {}
    }
}

impl OnnxCache {
    pub(crate) fn shapes(&self, _window: &OnnxWindow) -> Vec<(String, Vec<usize>)> {
        match *self {}
    }
}
