//! An ONNX graph with named inputs and outputs.

use std::path::{Path, PathBuf};

use rten::{Dimension, Model, ModelOptions, NodeId, RunOptions, Value, ValueOrView};

use crate::error::Error;

pub(super) struct Graph {
    path: PathBuf,
    model: Model,
}

/// An input or output of a graph.
#[derive(Debug, Clone)]
pub(super) struct Port {
    id: NodeId,
    pub(super) name: String,
    /// The size of each axis, or `None` for an axis whose size the graph leaves open.
    pub(super) shape: Vec<Option<usize>>,
}

impl Port {
    /// The size of an axis, or `None` if the graph leaves it open.
    pub(super) fn size(&self, axis: usize) -> Option<usize> {
        self.shape.get(axis).copied().flatten()
    }
}

impl Graph {
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let model = ModelOptions::with_all_ops().load_file(path);
        let model = model.map_err(|error| problem(path, format!("it cannot be loaded ({error})")))?;
        Ok(Self { path: path.to_owned(), model })
    }

    /// The inputs in the order of the graph.
    pub(super) fn inputs(&self) -> Vec<Port> {
        self.ports(self.model.input_ids())
    }

    /// The outputs in the order of the graph.
    pub(super) fn outputs(&self) -> Vec<Port> {
        self.ports(self.model.output_ids())
    }

    fn ports(&self, ids: &[NodeId]) -> Vec<Port> {
        let port = |id: &NodeId| {
            let node = self.model.node_info(*id)?;
            let size = |dimension: Dimension| match dimension {
                Dimension::Fixed(size) => Some(size),
                Dimension::Symbolic(_) => None,
            };
            let shape = node.shape().unwrap_or_default().into_iter().map(size).collect();
            Some(Port { id: *id, name: node.name()?.to_owned(), shape })
        };
        ids.iter().filter_map(port).collect()
    }

    /// Runs the graph and returns the values of `outputs` in the order in which they were given.
    pub(super) fn run(
        &self,
        inputs: &[(&Port, &Value)],
        outputs: &[&Port],
        options: &RunOptions,
    ) -> Result<Vec<Value>, Error> {
        let inputs = inputs.iter().map(|(port, value)| (port.id, ValueOrView::from(*value))).collect();
        let outputs: Vec<NodeId> = outputs.iter().map(|port| port.id).collect();
        let values = self.model.run(inputs, &outputs, Some(options.clone()));
        values.map_err(|error| self.problem(format!("it cannot be run ({error})")))
    }

    /// Creates an error that names the file of this graph and the given problem.
    pub(super) fn problem(&self, problem: String) -> Error {
        self::problem(&self.path, problem)
    }
}

fn problem(path: &Path, problem: String) -> Error {
    Error::Graph { path: path.to_owned(), problem }
}
