//! The inputs and outputs of a graph, for model formats that contain graphs (ONNX).

/// The inputs and outputs of a graph, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The name of the graph's file, without its directory.
    pub file: String,
    /// The inputs of the graph.
    pub inputs: Vec<GraphValue>,
    /// The outputs of the graph.
    pub outputs: Vec<GraphValue>,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphValue {
    /// The name that the value is bound by.
    pub name: String,
    /// The type of its elements, by its `NumPy` name.
    pub dtype: &'static str,
    /// Its dimensions, outermost first.
    pub shape: Vec<Dimension>,
}

/// A dimension of a graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// The dimension always has this length.
    Fixed(u64),
    /// The length varies. Dimensions with the same name have the same length. The name may be empty.
    Named(String),
}
