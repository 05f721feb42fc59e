//! A tensor as it is stored in the mapped file.

use std::ops::Range;

use crate::blocks::dequantise;
use crate::dtype::{bf16_to_f32, f16_to_f32};
use crate::mmap::MappedFile;
use crate::{DType, Error};

/// Upper bound for the number of dimensions. No tensor of a speech model has as many.
const MAX_RANK: usize = 8;

/// How stored integers `q` convert to real numbers: `(q - zero_point) * scale`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Quantisation {
    /// One scale per row, or one for the whole tensor. Empty for types that are not integers.
    pub(crate) scales: Vec<f32>,
    /// One zero point for each scale. Empty if every zero point is 0.
    pub(crate) zero_points: Vec<i32>,
}

/// Where a tensor is stored, and how.
///
/// Entries are created only by [`Entry::new`], which checks that shape and lengths agree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The index, in [`Contents::files`](crate::format::Contents::files), of the file that contains the values.
    pub(crate) file: usize,
    dtype: DType,
    shape: Vec<usize>,
    row_len: usize,
    /// Byte range of the values in the file.
    data: Range<usize>,
    /// Whether the values of a matrix are stored column by column instead of row by row.
    by_columns: bool,
    quantisation: Quantisation,
}

impl Entry {
    /// Creates an entry whose values are stored in the byte range `data` of the file. `Err` says how the range or the
    /// quantisation contradicts the shape.
    pub(crate) fn new(
        dtype: DType,
        shape: Vec<usize>,
        data: Range<usize>,
        quantisation: Quantisation,
    ) -> Result<Self, String> {
        if shape.len() > MAX_RANK {
            return Err(format!("it has {} dimensions; at most {MAX_RANK} make sense", shape.len()));
        }
        if shape.contains(&0) {
            return Err(format!("its shape {shape:?} has no elements"));
        }
        let (block_len, block_size) = dtype.block();
        if !shape.last().unwrap_or(&1).is_multiple_of(block_len) {
            return Err(format!("{dtype} comes in blocks of {block_len}, but its shape is {shape:?}"));
        }
        let rows = shape.first().copied().unwrap_or(1);
        let row_len = shape.iter().skip(1).copied().try_fold(1_usize, usize::checked_mul);
        let values = row_len.and_then(|n| n.checked_mul(rows));
        let (Some(row_len), Some(size)) = (row_len, values.and_then(|n| (n / block_len).checked_mul(block_size)))
        else {
            return Err(format!("its shape {shape:?} is too large"));
        };
        if data.len() != size {
            return Err(format!("{dtype} of shape {shape:?} takes {size} bytes, but it has {}", data.len()));
        }
        let Quantisation { scales, zero_points } = &quantisation;
        let (expected, may_be_one) = match dtype {
            DType::Int8 | DType::Uint8 | DType::Int32 => (rows, true),
            DType::Int16 => (1, true),
            _ => (0, false),
        };
        if scales.len() != expected && !(may_be_one && scales.len() == 1) {
            return Err(format!("{dtype} of shape {shape:?} needs {expected} scales, but it has {}", scales.len()));
        }
        if !zero_points.is_empty() && zero_points.len() != scales.len() {
            return Err(format!("it has {} scales, but {} zero points", scales.len(), zero_points.len()));
        }
        if let Some(bad) = scales.iter().find(|scale| !scale.is_finite() || **scale <= 0.0) {
            return Err(format!("{bad} is not a scale"));
        }
        Ok(Self { file: 0, dtype, shape, row_len, data, by_columns: false, quantisation })
    }

    /// Returns the same entry, but with values that are stored column by column. `Err` if the tensor is not a matrix.
    pub(crate) fn by_columns(self) -> Result<Self, String> {
        if self.shape.len() != 2 || self.dtype.block().0 != 1 {
            return Err(format!("{} of shape {:?} cannot be transposed", self.dtype, self.shape));
        }
        Ok(Self { by_columns: true, ..self })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Splits the rows into `parts` equal groups of consecutive rows and returns group number `part` (from 0) as an
    /// entry. `Err` if the rows cannot be divided evenly.
    pub(crate) fn part(&self, part: usize, parts: usize) -> Result<Self, String> {
        if self.shape.is_empty() || self.by_columns || !self.rows().is_multiple_of(parts) {
            return Err(format!("it stacks {parts} matrices, but its shape is {:?}", self.shape));
        }
        let rows = self.rows() / parts;
        let size = self.data.len() / parts;
        let mut entry =
            Self { data: self.data.start + part * size..self.data.start + (part + 1) * size, ..self.clone() };
        entry.shape[0] = rows;
        let scales = &mut entry.quantisation.scales;
        if scales.len() > 1 {
            *scales = scales[part * rows..][..rows].to_vec();
        }
        Ok(entry)
    }
}

/// A tensor of a [`Checkpoint`](crate::Checkpoint): a view of its mapped bytes.
///
/// *Rows* are slices along the first dimension, which for weights is the output channel or the token. A scalar is one
/// row with one value. No dimension is zero.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    name: &'a str,
    file: &'a MappedFile,
    entry: &'a Entry,
}

impl<'a> Tensor<'a> {
    pub(crate) fn new(name: &'a str, file: &'a MappedFile, entry: &'a Entry) -> Self {
        Self { name, file, entry }
    }

    /// The canonical name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &'a [usize] {
        &self.entry.shape
    }

    /// The number format of the values.
    pub fn dtype(&self) -> DType {
        self.entry.dtype
    }

    /// The length of the first dimension; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.entry.rows()
    }

    /// The number of values in a row: the product of all dimensions but the first.
    pub fn row_len(&self) -> usize {
        self.entry.row_len
    }

    /// The size in bytes that the values take in the file. Scales that are stored separately are not included.
    pub fn size(&self) -> usize {
        self.entry.data.len()
    }

    /// Returns this tensor if its shape is `expected`, otherwise [`Error::Shape`].
    pub fn with_shape(self, expected: &[usize]) -> Result<Self, Error> {
        if self.shape() == expected {
            return Ok(self);
        }
        Err(Error::Shape {
            path: self.file.path().to_owned(),
            name: self.name.to_owned(),
            expected: expected.to_vec(),
            found: self.shape().to_vec(),
        })
    }

    /// Converts all values to `f32`. Returns them row by row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows() * self.row_len()];
        self.rows_f32(0..self.rows(), &mut values);
        values
    }

    /// Converts the values of the rows in the range `rows` to `f32` and writes them to `out`, which has `rows.len()`
    /// x [`row_len`](Self::row_len) elements.
    ///
    /// # Panics
    /// If the range is outside of this tensor, or if `out` has another length.
    pub fn rows_f32(&self, rows: Range<usize>, out: &mut [f32]) {
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "rows {rows:?} of {}", self.rows());
        assert_eq!(out.len(), rows.len() * self.row_len(), "length of the output for rows {rows:?} of {}", self.name);
        for (row, out) in rows.zip(out.chunks_exact_mut(self.row_len())) {
            match self.dtype() {
                DType::F32 => self.row(row, out, f32::from_le_bytes),
                DType::F16 => self.row(row, out, f16_to_f32),
                DType::Bf16 => self.row(row, out, bf16_to_f32),
                DType::Int8 => self.integers(row, out, |value| i8::from_le_bytes(value).into()),
                DType::Uint8 => self.integers(row, out, |[value]: [u8; 1]| value.into()),
                DType::Int16 => self.integers(row, out, |value| i16::from_le_bytes(value).into()),
                DType::Int32 => self.integers(row, out, i32::from_le_bytes),
                dtype @ (DType::Q8_0 | DType::Q5_0 | DType::Q5_1 | DType::Q4_0 | DType::Q4_1) => {
                    let (block_len, block_size) = dtype.block();
                    let size = out.len() / block_len * block_size;
                    dequantise(dtype, &self.bytes()[row * size..][..size], out);
                }
            }
        }
    }

    /// Whether the values are int8 without zero points, so that [`Self::int8_row`] can return them.
    pub fn is_int8(&self) -> bool {
        self.dtype() == DType::Int8 && self.entry.quantisation.zero_points.iter().all(|zero| *zero == 0)
    }

    /// Writes the stored integers of a row to `out`, which has [`row_len`](Self::row_len) elements. The integers may
    /// include -128. Returns the row's scale, which is finite and positive.
    ///
    /// # Panics
    /// If the tensor [is not int8](Self::is_int8), if it has no such row, or if `out` has another length.
    pub fn int8_row(&self, row: usize, out: &mut [i8]) -> f32 {
        assert!(self.is_int8() && row < self.rows() && out.len() == self.row_len(), "row {row} of {}", self.name);
        self.row(row, out, i8::from_le_bytes);
        self.scale(row).0
    }

    fn bytes(&self) -> &'a [u8] {
        &self.file.bytes()[self.entry.data.clone()]
    }

    /// Reads a row whose values have `N` bytes each, and writes each value, converted by `value`, to `out`. If
    /// `value` has no branches, the compiler vectorises the loop.
    fn row<const N: usize, T>(&self, row: usize, out: &mut [T], value: impl Fn([u8; N]) -> T) {
        let (values, _) = self.bytes().as_chunks();
        if self.entry.by_columns {
            let column = values.iter().skip(row).step_by(self.rows());
            out.iter_mut().zip(column).for_each(|(out, bytes)| *out = value(*bytes));
        } else {
            let start = row * self.row_len();
            let row = &values[start..start + out.len()];
            out.iter_mut().zip(row).for_each(|(out, bytes)| *out = value(*bytes));
        }
    }

    fn integers<const N: usize>(&self, row: usize, out: &mut [f32], value: impl Fn([u8; N]) -> i32) {
        let (scale, zero_point) = self.scale(row);
        // In a valid file, the subtraction of the zero point does not overflow. In an invalid file, any result is
        // acceptable, but no panic.
        self.row(row, out, |bytes| value(bytes).wrapping_sub(zero_point) as f32 * scale);
    }

    /// The scale and the zero point of a row.
    fn scale(&self, row: usize) -> (f32, i32) {
        let Quantisation { scales, zero_points } = &self.entry.quantisation;
        let index = if scales.len() == 1 { 0 } else { row };
        (scales[index], zero_points.get(index).copied().unwrap_or(0))
    }

    /// Drops the tensor's pages from this process's memory, as a hint to the operating system.
    ///
    /// Call this after the values were copied, so that the process does not hold both the copy and the file's pages.
    /// The tensor stays readable: its pages are read from the file again when they are used.
    pub fn release(&self) {
        self.file.release(self.entry.data.clone());
    }
}
