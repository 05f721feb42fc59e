//! Where the data of constants is stored: in the file of the graph, or in other files in the same directory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path};

use super::find::{Quantised, Weight};
use super::model::{Constant, Data, External, type_name};
use super::wire::varints;
use crate::dtype::{bf16_to_f32, f16_to_f32};
use crate::mmap::MappedFile;
use crate::tensor::{Entry, Quantisation};
use crate::{DType, Error};

/// The file of a graph, and the external data files that it refers to.
pub(super) struct Storage {
    pub(super) file: MappedFile,
    /// External data files.
    others: Vec<MappedFile>,
    /// The index of each external data file, counted as [`Storage::into_files`] does.
    by_location: BTreeMap<String, usize>,
}

impl Storage {
    pub(super) fn new(file: MappedFile) -> Self {
        Self { file, others: Vec::new(), by_location: BTreeMap::new() }
    }

    /// All files, in the order in which [`Entry::file`] counts them: the graph is 0, external files start at 1.
    pub(super) fn into_files(self) -> impl Iterator<Item = MappedFile> {
        std::iter::once(self.file).chain(self.others)
    }

    /// The tensor of a weight. The index of its file is relative to this storage.
    pub(super) fn entry(&mut self, name: &str, weight: Weight, tensors: &[Constant]) -> Result<Entry, Error> {
        let tensor = &tensors[weight.tensor];
        let dtype = match tensor.data_type {
            1 => DType::F32,
            2 => DType::Uint8,
            3 => DType::Int8,
            6 => DType::Int32,
            10 => DType::F16,
            16 => DType::Bf16,
            other => {
                return Err(self.file.unsupported(format!(
                    "tensor {name} is stored as {}, but float32, float16, bfloat16, int8 and uint8 are supported",
                    type_name(other)
                )));
            }
        };
        let quantisation = match weight.quantised {
            Some(quantised) => self.quantisation(name, quantised, weight, tensors)?,
            None => Quantisation::default(),
        };
        let mut shape = tensor.dims.clone();
        if weight.is_transposed {
            shape.reverse();
        }
        let (file, data) = self.locate(name, tensor, dtype)?;
        let entry = Entry::new(dtype, shape, data, quantisation);
        let entry = entry.and_then(|entry| if weight.is_transposed { entry.by_columns() } else { Ok(entry) });
        let mut entry = entry.map_err(|reason| self.file.malformed(format!("tensor {name}: {reason}")))?;
        entry.file = file;
        Ok(entry)
    }

    /// The scales and zero points of a quantised weight.
    fn quantisation(
        &mut self,
        name: &str,
        quantised: Quantised,
        weight: Weight,
        tensors: &[Constant],
    ) -> Result<Quantisation, Error> {
        let scales = self.floats(name, &tensors[quantised.scale])?;
        let rank = tensors[weight.tensor].dims.len() as i64;
        let axis = if quantised.axis < 0 { quantised.axis.saturating_add(rank) } else { quantised.axis };
        if scales.len() > 1 && axis != i64::from(weight.is_transposed) {
            return Err(self.file.unsupported(format!(
                "tensor {name} does not have one scale for each output channel; quantise per tensor or per channel"
            )));
        }
        let zero_points = match quantised.zero_point.map(|tensor| &tensors[tensor]) {
            Some(zero_point) => integers(self.file.bytes(), zero_point).ok_or_else(|| {
                self.file.unsupported(format!("the zero points of tensor {name} are stored in an unsupported way"))
            })?,
            None => Vec::new(),
        };
        let zero_points: Result<Vec<i32>, _> = zero_points.into_iter().map(i32::try_from).collect();
        let zero_points =
            zero_points.map_err(|_| self.file.malformed(format!("tensor {name} has zero points out of range")))?;
        Ok(Quantisation { scales, zero_points })
    }

    /// The values of a tensor of floats, such as scales.
    fn floats(&mut self, name: &str, tensor: &Constant) -> Result<Vec<f32>, Error> {
        let dtype = match tensor.data_type {
            1 => DType::F32,
            10 => DType::F16,
            16 => DType::Bf16,
            _ => return Err(self.file.malformed(format!("the scales of tensor {name} are not floats"))),
        };
        let (file, range) = self.locate(name, tensor, dtype)?;
        let file = if file == 0 { &self.file } else { &self.others[file - 1] };
        let bytes = &file.bytes()[range];
        Ok(match dtype {
            DType::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
            DType::F16 => bytes.as_chunks().0.iter().map(|value| f16_to_f32(*value)).collect(),
            _ => bytes.as_chunks().0.iter().map(|value| bf16_to_f32(*value)).collect(),
        })
    }

    /// The index of the file that holds the data of a tensor, and the range of its bytes.
    fn locate(&mut self, name: &str, tensor: &Constant, dtype: DType) -> Result<(usize, Range<usize>), Error> {
        match &tensor.data {
            Data::Raw(range) => Ok((0, range.clone())),
            Data::External(external) => self.locate_external(name, tensor, dtype, external),
            Data::Absent => Err(self.file.malformed(format!("tensor {name} has no data"))),
            Data::Varints(_) | Data::Scattered => Err(self.file.unsupported(format!(
                "tensor {name} is not stored as raw data; save the graph with raw data, as exporters do"
            ))),
        }
    }

    /// As [`Self::locate`], for a tensor in an external data file.
    fn locate_external(
        &mut self,
        name: &str,
        tensor: &Constant,
        dtype: DType,
        External { location, offset, length }: &External,
    ) -> Result<(usize, Range<usize>), Error> {
        if Path::new(location).components().collect::<Vec<_>>() != [Component::Normal(location.as_ref())] {
            return Err(self.file.malformed(format!("{location:?} is not the name of a file in the same directory")));
        }
        let index = if let Some(index) = self.by_location.get(location) {
            *index
        } else {
            self.others.push(MappedFile::open(&self.file.path().with_file_name(location))?);
            self.by_location.insert(location.clone(), self.others.len());
            self.others.len()
        };
        let size = tensor.dims.iter().copied().try_fold(dtype.block().1, usize::checked_mul);
        let end = length.or(size).and_then(|length| offset.checked_add(length));
        let file = &self.others[index - 1];
        match end {
            Some(end) if end <= file.bytes().len() => Ok((index, *offset..end)),
            _ => Err(file.truncated(format!("tensor {name}"))),
        }
    }
}

/// The values of an integer tensor, such as zero points or a shape, if they are stored in the file of the graph.
pub(super) fn integers(file: &[u8], tensor: &Constant) -> Option<Vec<i64>> {
    match (&tensor.data, tensor.data_type) {
        (Data::Raw(range), data_type) => {
            let bytes = file[range.clone()].iter();
            Some(match data_type {
                2 => bytes.map(|byte| i64::from(*byte)).collect(),
                3 => bytes.map(|byte| i64::from(byte.cast_signed())).collect(),
                6 => bytes.as_slice().as_chunks().0.iter().map(|value| i32::from_le_bytes(*value).into()).collect(),
                7 => bytes.as_slice().as_chunks().0.iter().map(|value| i64::from_le_bytes(*value)).collect(),
                _ => return None,
            })
        }
        (Data::Varints(range), 2 | 3 | 6 | 7) => {
            varints(file, range.clone()).map(|value| value.ok().map(u64::cast_signed)).collect()
        }
        _ => None,
    }
}
