//! The contents of an ONNX file (`onnx.proto`): graphs of nodes, and the locations of their constants.
//!
//! Names are copied, but the data of tensors is not. So a model of gigabytes takes memory only for its graph.

use std::ops::Range;

use super::wire::{Fields, Malformed, Value, varints};
use crate::mmap::MappedFile;
use crate::{Dimension, Error, GraphValue};

/// Deepest nesting of graphs. A merged decoder has one level, the branches of its `If`.
const MAX_DEPTH: usize = 4;
/// Most nodes, and most constants, that are accepted. Exports of Whisper models have fewer.
const MAX_NODES: usize = 1 << 16;

/// The main graph of a file, and the constants of all its graphs.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) graph: Graph,
    pub(super) tensors: Vec<Constant>,
}

/// A graph (`GraphProto`).
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// In topological order.
    pub(super) nodes: Vec<Node>,
    /// Constants, as indices into [`Model::tensors`].
    pub(super) initialisers: Vec<usize>,
    pub(super) inputs: Vec<GraphValue>,
    pub(super) outputs: Vec<GraphValue>,
}

/// A node of a graph (`NodeProto`).
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    /// The operator.
    pub(super) op: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Option<Box<Attributes>>,
}

/// The attributes of a node that show how a constant is used.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// The permutation of a `Transpose`.
    pub(super) perm: Vec<i64>,
    /// The axis of a `DequantizeLinear`.
    pub(super) axis: Option<i64>,
    /// Whether a `Gemm` transposes its second factor.
    pub(super) trans_b: bool,
    /// The value of a `Constant`, as an index into [`Model::tensors`].
    pub(super) value: Option<usize>,
    /// The branches of an `If`.
    pub(super) graphs: Vec<Graph>,
}

impl Node {
    /// The name of input `index`, unless it is omitted.
    pub(super) fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of the first output.
    pub(super) fn output(&self) -> Option<&str> {
        self.outputs.first().map(String::as_str)
    }
}

/// A constant tensor (`TensorProto`).
#[derive(Debug, Default)]
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    /// The element type, a `TensorProto.DataType`.
    pub(super) data_type: u64,
    pub(super) data: Data,
}

/// Where the data of a tensor is stored.
#[derive(Debug, Default)]
pub(super) enum Data {
    /// The tensor has no data.
    #[default]
    Absent,
    /// In this range of the file, as contiguous little-endian numbers.
    Raw(Range<usize>),
    /// In this range of the file, as packed variable-length integers.
    Varints(Range<usize>),
    /// In another file.
    External(Box<External>),
    /// In several fields or as strings, which is not supported.
    Scattered,
}

/// The location of external data.
#[derive(Debug, Default)]
pub(super) struct External {
    /// The name of the file.
    pub(super) location: String,
    /// The offset of the first byte.
    pub(super) offset: usize,
    /// The number of bytes. If it is not given, it follows from the shape and type of the tensor.
    pub(super) length: Option<usize>,
}

impl Model {
    pub(super) fn read(file: &MappedFile) -> Result<Self, Error> {
        let mut reader = Reader { file, bytes: file.bytes(), nodes: 0, tensors: Vec::new() };
        let mut graph = None;
        for field in Fields::new(reader.bytes, 0..reader.bytes.len()) {
            if let (7, Value::Bytes(range)) = reader.checked(field)? {
                graph = Some(reader.graph(range, 0)?);
            }
        }
        let Some(graph) = graph else { return Err(file.malformed("it has no graph")) };
        Ok(Self { graph, tensors: reader.tensors })
    }
}

/// The `NumPy` name of an element type (`TensorProto.DataType`).
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

/// Parses the messages of a file.
struct Reader<'a> {
    file: &'a MappedFile,
    bytes: &'a [u8],
    /// Number of nodes so far, in all graphs.
    nodes: usize,
    tensors: Vec<Constant>,
}

impl<'a> Reader<'a> {
    fn fields(&self, range: Range<usize>) -> Fields<'a> {
        Fields::new(self.bytes, range)
    }

    /// Turns a malformed field into an error that names the file.
    fn checked<T>(&self, field: Result<T, Malformed>) -> Result<T, Error> {
        field.map_err(|Malformed { at }| self.file.malformed(format!("there is no valid field at byte {at}")))
    }

    fn text(&self, range: Range<usize>) -> Result<String, Error> {
        let at = range.start;
        // Copied before validation: another process could change the mapped bytes after they were validated as UTF-8.
        let bytes = self.bytes[range].to_vec();
        String::from_utf8(bytes).map_err(|_| self.file.malformed(format!("the text at byte {at} is not UTF-8")))
    }

    fn size(&self, number: u64) -> Result<usize, Error> {
        let size = usize::try_from(number).ok().filter(|size| isize::try_from(*size).is_ok());
        size.ok_or_else(|| self.file.malformed(format!("{number} is not a valid size")))
    }

    fn graph(&mut self, range: Range<usize>, depth: usize) -> Result<Graph, Error> {
        if depth > MAX_DEPTH {
            return Err(self.file.malformed(format!("its graphs are nested more than {MAX_DEPTH} levels deep")));
        }
        let mut graph = Graph::default();
        for field in self.fields(range) {
            match self.checked(field)? {
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
            return Err(self.file.malformed(format!("it has more than {MAX_NODES} nodes, the limit")));
        }
        let at = range.start;
        let mut node = Node::default();
        for field in self.fields(range) {
            match self.checked(field)? {
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
            match self.checked(field)? {
                (1, Value::Bytes(range)) => name = range,
                (3, Value::Varint(bits)) => number = Some(bits.cast_signed()),
                (5, Value::Bytes(range)) => value = Some(self.tensor(range)?),
                (6, Value::Bytes(range)) => graph = Some(self.graph(range, depth + 1)?),
                (8, Value::Varint(bits)) => numbers.push(bits.cast_signed()),
                (8, Value::Bytes(range)) => {
                    for bits in varints(self.bytes, range) {
                        numbers.push(self.checked(bits)?.cast_signed());
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

    /// Parses a tensor, and returns its index in [`Model::tensors`].
    fn tensor(&mut self, range: Range<usize>) -> Result<usize, Error> {
        let mut tensor = Constant::default();
        let (mut external, mut is_external) = (External::default(), false);
        for field in self.fields(range) {
            match self.checked(field)? {
                (1, Value::Varint(dim)) => tensor.dims.push(self.size(dim)?),
                (1, Value::Bytes(range)) => {
                    for dim in varints(self.bytes, range) {
                        tensor.dims.push(self.size(self.checked(dim)?)?);
                    }
                }
                (2, Value::Varint(data_type)) => tensor.data_type = data_type,
                (4 | 9, Value::Bytes(range)) => tensor.data = tensor.data.or_scattered(Data::Raw(range)),
                (5 | 7, Value::Bytes(range)) => tensor.data = tensor.data.or_scattered(Data::Varints(range)),
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
            let problem = format!("it has more than {MAX_NODES} constants, the limit");
            return Err(self.file.malformed(problem));
        }
        self.tensors.push(tensor);
        Ok(self.tensors.len() - 1)
    }

    /// Parses one of the key-value pairs that give the location of external data.
    fn external(&self, range: Range<usize>, external: &mut External) -> Result<(), Error> {
        let (mut key, mut value) = (0..0, 0..0);
        for field in self.fields(range) {
            match self.checked(field)? {
                (1, Value::Bytes(range)) => key = range,
                (2, Value::Bytes(range)) => value = range,
                _ => {}
            }
        }
        let text = self.text(value)?;
        let number =
            || text.parse().map_err(|_| self.file.malformed(format!("{text:?} is not a valid offset or length")));
        match &self.bytes[key] {
            b"location" => external.location = text,
            b"offset" => external.offset = number()?,
            b"length" => external.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }

    /// Parses a `ValueInfoProto`: an input or output of a graph.
    fn value(&self, range: Range<usize>) -> Result<GraphValue, Error> {
        let mut value = GraphValue { name: String::new(), dtype: "unknown", shape: Vec::new() };
        for field in self.fields(range) {
            match self.checked(field)? {
                (1, Value::Bytes(range)) => value.name = self.text(range)?,
                (2, Value::Bytes(range)) => self.value_type(range, &mut value)?,
                _ => {}
            }
        }
        Ok(value)
    }

    /// Parses the type and shape in a `TypeProto`. Types other than tensors are ignored.
    fn value_type(&self, range: Range<usize>, value: &mut GraphValue) -> Result<(), Error> {
        for field in self.fields(range) {
            let (1, Value::Bytes(tensor)) = self.checked(field)? else { continue };
            for field in self.fields(tensor) {
                match self.checked(field)? {
                    (1, Value::Varint(data_type)) => value.dtype = type_name(data_type),
                    (2, Value::Bytes(shape)) => {
                        for field in self.fields(shape) {
                            let (1, Value::Bytes(dimension)) = self.checked(field)? else { continue };
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
            match self.checked(field)? {
                (1, Value::Varint(length)) => dimension = Dimension::Fixed(length),
                (2, Value::Bytes(range)) => dimension = Dimension::Named(self.text(range)?),
                _ => {}
            }
        }
        Ok(dimension)
    }
}

impl Data {
    /// Returns `data` if there was no data before. If there was, the data is [`Data::Scattered`].
    fn or_scattered(&self, data: Self) -> Self {
        if matches!(self, Self::Absent) { data } else { Self::Scattered }
    }
}
