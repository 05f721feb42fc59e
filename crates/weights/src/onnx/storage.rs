//! Where the values of constants are stored: in the graph's file, or in other files beside it.

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

/// A graph's file, and the other files in which the graph stores values.
pub(super) struct Storage {
    pub(super) file: MappedFile,
    others: Vec<MappedFile>,
    by_location: BTreeMap<String, usize>,
}

impl Storage {
    pub(super) fn new(file: MappedFile) -> Self {
        Self { file, others: Vec::new(), by_location: BTreeMap::new() }
    }

    /// Returns the graph's file and then the other files. The file indices of the entries from [`Self::entry`] refer
    /// to this order.
    pub(super) fn into_files(self) -> impl Iterator<Item = MappedFile> {
        std::iter::once(self.file).chain(self.others)
    }

    /// Converts a weight to a tensor entry. File index 0 in the entry means the graph's file. Higher indices mean the
    /// other files that hold values.
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
                "tensor {name} has scales that are not one for each output; quantise it per tensor or per channel"
            )));
        }
        let zero_points = match quantised.zero_point.map(|tensor| &tensors[tensor]) {
            Some(zero_point) => integers(self.file.bytes(), zero_point).ok_or_else(|| {
                self.file.unsupported(format!("the zero points of tensor {name} are stored in an unusual way"))
            })?,
            None => Vec::new(),
        };
        let zero_points: Result<Vec<i32>, _> = zero_points.into_iter().map(i32::try_from).collect();
        let zero_points =
            zero_points.map_err(|_| self.file.malformed(format!("tensor {name} has zero points out of range")))?;
        Ok(Quantisation { scales, zero_points })
    }

    /// Reads the values of a small float tensor, such as the scales of an integer tensor.
    fn floats(&mut self, name: &str, tensor: &Constant) -> Result<Vec<f32>, Error> {
        let dtype = match tensor.data_type {
            1 => DType::F32,
            10 => DType::F16,
            16 => DType::Bf16,
            _ => return Err(self.file.malformed(format!("the scales of tensor {name} are no floats"))),
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

    /// Returns the index of the file that contains a tensor's values, and their byte range.
    fn locate(&mut self, name: &str, tensor: &Constant, dtype: DType) -> Result<(usize, Range<usize>), Error> {
        match &tensor.data {
            Data::Raw(range) => Ok((0, range.clone())),
            Data::External(external) => self.locate_outside(name, tensor, dtype, external),
            Data::Absent => Err(self.file.malformed(format!("tensor {name} has no data"))),
            Data::Varints(_) | Data::Scattered => Err(self.file.unsupported(format!(
                "tensor {name} is stored number by number; save the graph with raw data, as exporters do"
            ))),
        }
    }

    fn locate_outside(
        &mut self,
        name: &str,
        tensor: &Constant,
        dtype: DType,
        External { location, offset, length }: &External,
    ) -> Result<(usize, Range<usize>), Error> {
        if Path::new(location).components().collect::<Vec<_>>() != [Component::Normal(location.as_ref())] {
            return Err(self.file.malformed(format!("{location:?} is not the name of a file beside it")));
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

/// Reads the values of an integer tensor, such as zero points or a shape. `None` if they are not stored in the
/// graph's file, or are not integers.
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
