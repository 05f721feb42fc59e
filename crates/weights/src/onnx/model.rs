//! The contents of an ONNX file (`onnx.proto`): graphs of nodes, and the byte ranges of their constants.
//!
//! Names are copied, but the values of tensors are not, so a model of several gigabytes takes memory for its graph
//! only.

use std::ops::Range;

use super::wire::{Fields, Malformed, Value, varints};
use crate::Error;
use crate::mmap::MappedFile;

/// Maximum depth of nesting of graphs (a graph can be an attribute of a node in another one). In a decoder with
/// merged branches, the depth is one.
const MAX_DEPTH: usize = 4;
/// Upper bound for the number of nodes and for the number of constants. No export of a Whisper model has as many.
const MAX_NODES: usize = 1 << 16;

/// A file's main graph, and the constants of all its graphs.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) graph: Graph,
    pub(super) tensors: Vec<Constant>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The nodes in execution order.
    pub(super) nodes: Vec<Node>,
    /// The graph's constants, as indices into [`Model::tensors`].
    pub(super) initialisers: Vec<usize>,
    pub(super) inputs: Vec<GraphValue>,
    pub(super) outputs: Vec<GraphValue>,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphValue {
    /// The name of the input or output.
    pub name: String,
    /// The type of its elements, named as in `NumPy`.
    pub dtype: &'static str,
    /// Its dimensions, outermost first.
    pub shape: Vec<Dimension>,
}

/// One dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// The dimension has this length.
    Fixed(u64),
    /// The dimension may have any length, but all dimensions of the graph with this name have the same length.
    Named(String),
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) op: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Option<Box<Attributes>>,
}

/// The attributes of a node that tell how the node uses a constant. Other attributes are not read.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Attribute of `Transpose`: the order of the dimensions.
    pub(super) perm: Vec<i64>,
    /// Attribute of `DequantizeLinear`: the dimension of the tensor in which each index has its own scale.
    pub(super) axis: Option<i64>,
    /// Attribute of `Gemm`: whether the second factor is transposed.
    pub(super) trans_b: bool,
    /// Attribute of `Constant`: the index of its tensor in [`Model::tensors`].
    pub(super) value: Option<usize>,
    /// Attributes of `If`: the graphs of its branches.
    pub(super) graphs: Vec<Graph>,
}

impl Node {
    pub(super) fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn output(&self) -> Option<&str> {
        self.outputs.first().map(String::as_str)
    }
}

/// A constant tensor (`TensorProto`).
#[derive(Debug, Default)]
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    /// The element type, a number of `TensorProto.DataType`.
    pub(super) data_type: u64,
    pub(super) data: Data,
}

/// Where the values of a tensor are stored.
#[derive(Debug, Default)]
pub(super) enum Data {
    #[default]
    Absent,
    /// As little-endian numbers in this byte range of the graph's file.
    Raw(Range<usize>),
    /// As varints (integers of variable length) in this byte range of the graph's file.
    Varints(Range<usize>),
    /// In a file other than the graph's.
    External(Box<External>),
    /// In a form that this crate does not read, or in several forms at once. Such tensors cannot be used as weights.
    Scattered,
}

#[derive(Debug, Default)]
pub(super) struct External {
    pub(super) location: String,
    pub(super) offset: usize,
    /// Number of bytes that the values take. `None` means that the values extend to the end of the file.
    pub(super) length: Option<usize>,
}

impl Model {
    pub(super) fn read(file: &MappedFile) -> Result<Self, Error> {
        let mut reader = Reader { file, bytes: file.bytes(), nodes: 0, tensors: Vec::new() };
        let mut graph = None;
        for field in Fields::new(reader.bytes, 0..reader.bytes.len()) {
            if let (7, Value::Bytes(range)) = reader.sound(field)? {
                graph = Some(reader.graph(range, 0)?);
            }
        }
        let Some(graph) = graph else { return Err(file.malformed("it has no graph")) };
        Ok(Self { graph, tensors: reader.tensors })
    }
}

/// `NumPy`'s name of an element type, which is given as a number of `TensorProto.DataType`.
pub(super) fn type_name(data_type: u64) -> &'static str {
    match data_type {
        1 => "float32",
        2 => "uint8",
        3 => "int8",
        4 => "uint16",
        5 => "int16",
        6 => "int32",
        7 => "int64",
        8 => "string",
        9 => "bool",
        10 => "float16",
        11 => "float64",
        12 => "uint32",
        13 => "uint64",
        16 => "bfloat16",
        _ => "unknown",
    }
}

struct Reader<'a> {
    file: &'a MappedFile,
    bytes: &'a [u8],
    nodes: usize,
    tensors: Vec<Constant>,
}

impl<'a> Reader<'a> {
    fn fields(&self, range: Range<usize>) -> Fields<'a> {
        Fields::new(self.bytes, range)
    }

    fn sound<T>(&self, field: Result<T, Malformed>) -> Result<T, Error> {
        field.map_err(|Malformed { at }| self.file.malformed(format!("there should be a field at byte {at}")))
    }

    fn text(&self, range: Range<usize>) -> Result<String, Error> {
        let at = range.start;
        // The text is copied before it is validated, because the mapped bytes could change afterwards.
        let bytes = self.bytes[range].to_vec();
        String::from_utf8(bytes).map_err(|_| self.file.malformed(format!("the text at byte {at} is not UTF-8")))
    }

    fn size(&self, number: u64) -> Result<usize, Error> {
        let size = usize::try_from(number).ok().filter(|size| isize::try_from(*size).is_ok());
        size.ok_or_else(|| self.file.malformed(format!("{number} is no size")))
    }

    fn graph(&mut self, range: Range<usize>, depth: usize) -> Result<Graph, Error> {
        if depth > MAX_DEPTH {
            return Err(self.file.malformed(format!("graphs lie more than {MAX_DEPTH} deep inside of graphs")));
        }
        let mut graph = Graph::default();
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Bytes(range)) => graph.nodes.push(self.node(range, depth)?),
                (5, Value::Bytes(range)) => graph.initialisers.push(self.tensor(range)?),
                (11, Value::Bytes(range)) => graph.inputs.push(self.value(range)?),
                (12, Value::Bytes(range)) => graph.outputs.push(self.value(range)?),
                _ => {}
            }
        }
        Ok(graph)
    }

    fn node(&mut self, range: Range<usize>, depth: usize) -> Result<Node, Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self
                .file
                .malformed(format!("it has more than {MAX_NODES} nodes; no Whisper model needs them")));
        }
        let at = range.start;
        let mut node = Node::default();
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Bytes(range)) => node.inputs.push(self.text(range)?),
                (2, Value::Bytes(range)) => node.outputs.push(self.text(range)?),
                (3, Value::Bytes(range)) => node.name = self.text(range)?,
                (4, Value::Bytes(range)) => node.op = self.text(range)?,
                (5, Value::Bytes(range)) => self.attribute(range, &mut node.attributes, depth)?,
                _ => {}
            }
        }
        if node.op.is_empty() {
            return Err(self.file.malformed(format!("the node at byte {at} has no operator")));
        }
        Ok(node)
    }

    fn attribute(
        &mut self,
        range: Range<usize>,
        attributes: &mut Option<Box<Attributes>>,
        depth: usize,
    ) -> Result<(), Error> {
        let (mut name, mut number, mut numbers) = (0..0, None, Vec::new());
        let (mut value, mut graph) = (None, None);
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Bytes(range)) => name = range,
                (3, Value::Varint(bits)) => number = Some(bits.cast_signed()),
                (5, Value::Bytes(range)) => value = Some(self.tensor(range)?),
                (6, Value::Bytes(range)) => graph = Some(self.graph(range, depth + 1)?),
                (8, Value::Varint(bits)) => numbers.push(bits.cast_signed()),
                (8, Value::Bytes(range)) => {
                    for bits in varints(self.bytes, range) {
                        numbers.push(self.sound(bits)?.cast_signed());
                    }
                }
                _ => {}
            }
        }
        let name = &self.bytes[name];
        if !matches!(name, b"perm" | b"axis" | b"transB" | b"value" | b"then_branch" | b"else_branch") {
            return Ok(());
        }
        let attributes = attributes.get_or_insert_default();
        match name {
            b"perm" => attributes.perm = numbers,
            b"axis" => attributes.axis = number,
            b"transB" => attributes.trans_b = number == Some(1),
            b"value" => attributes.value = value,
            _ => attributes.graphs.extend(graph),
        }
        Ok(())
    }

    /// Reads a tensor in a byte range, adds it to the model's tensors, and returns its index there.
    fn tensor(&mut self, range: Range<usize>) -> Result<usize, Error> {
        let mut tensor = Constant::default();
        let (mut external, mut is_external) = (External::default(), false);
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Varint(dim)) => tensor.dims.push(self.size(dim)?),
                (1, Value::Bytes(range)) => {
                    for dim in varints(self.bytes, range) {
                        tensor.dims.push(self.size(self.sound(dim)?)?);
                    }
                }
                (2, Value::Varint(data_type)) => tensor.data_type = data_type,
                (4 | 9, Value::Bytes(range)) => tensor.data = tensor.data.only(Data::Raw(range)),
                (5 | 7, Value::Bytes(range)) => tensor.data = tensor.data.only(Data::Varints(range)),
                (4..=7 | 10 | 11, _) => tensor.data = Data::Scattered,
                (8, Value::Bytes(range)) => tensor.name = self.text(range)?,
                (13, Value::Bytes(range)) => self.external(range, &mut external)?,
                (14, Value::Varint(location)) => is_external = location == 1,
                _ => {}
            }
        }
        if is_external {
            tensor.data = Data::External(Box::new(external));
        }
        if self.tensors.len() == MAX_NODES {
            let problem = format!("it has more than {MAX_NODES} constants; no Whisper model needs them");
            return Err(self.file.malformed(problem));
        }
        self.tensors.push(tensor);
        Ok(self.tensors.len() - 1)
    }

    /// Reads a key-value pair into `external`. Such pairs say in which other file a tensor is stored, and at which
    /// position.
    fn external(&self, range: Range<usize>, external: &mut External) -> Result<(), Error> {
        let (mut key, mut value) = (0..0, 0..0);
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Bytes(range)) => key = range,
                (2, Value::Bytes(range)) => value = range,
                _ => {}
            }
        }
        let text = self.text(value)?;
        let number = || text.parse().map_err(|_| self.file.malformed(format!("{text:?} is no place in a file")));
        match &self.bytes[key] {
            b"location" => external.location = text,
            b"offset" => external.offset = number()?,
            b"length" => external.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }

    /// Reads a `ValueInfoProto`: the name, type and shape of an input or output.
    fn value(&self, range: Range<usize>) -> Result<GraphValue, Error> {
        let mut value = GraphValue { name: String::new(), dtype: "unknown", shape: Vec::new() };
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Bytes(range)) => value.name = self.text(range)?,
                (2, Value::Bytes(range)) => self.value_type(range, &mut value)?,
                _ => {}
            }
        }
        Ok(value)
    }

    /// Reads a `TypeProto` into `value`. Types other than tensors are ignored.
    fn value_type(&self, range: Range<usize>, value: &mut GraphValue) -> Result<(), Error> {
        for field in self.fields(range) {
            let (1, Value::Bytes(tensor)) = self.sound(field)? else { continue };
            for field in self.fields(tensor) {
                match self.sound(field)? {
                    (1, Value::Varint(data_type)) => value.dtype = type_name(data_type),
                    (2, Value::Bytes(shape)) => {
                        for field in self.fields(shape) {
                            let (1, Value::Bytes(dimension)) = self.sound(field)? else { continue };
                            value.shape.push(self.dimension(dimension)?);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn dimension(&self, range: Range<usize>) -> Result<Dimension, Error> {
        let mut dimension = Dimension::Named(String::new());
        for field in self.fields(range) {
            match self.sound(field)? {
                (1, Value::Varint(length)) => dimension = Dimension::Fixed(length),
                (2, Value::Bytes(range)) => dimension = Dimension::Named(self.text(range)?),
                _ => {}
            }
        }
        Ok(dimension)
    }
}

impl Data {
    /// Returns `data` if the tensor's values were not found anywhere else before, otherwise [`Data::Scattered`].
    fn only(&self, data: Self) -> Self {
        if matches!(self, Self::Absent) { data } else { Self::Scattered }
    }
}
