//! A tensor as it lies in the mapped file.

use std::ops::Range;

use crate::dtype::{bf16_to_f32, f16_to_f32, widen};
use crate::mmap::MappedFile;
use crate::{DType, Error};

/// More dimensions than any tensor of a speech model has.
const MAX_RANK: usize = 8;

/// Where a tensor lies and how it is stored.
///
/// Built by [`Entry::new`] alone, which makes sure that shape and lengths agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Index of the file in [`Contents::files`](crate::format::Contents::files).
    pub(crate) file: usize,
    dtype: DType,
    shape: Vec<usize>,
    row_len: usize,
    /// Bytes of the file.
    data: Range<usize>,
    /// Bytes of the file: the `f32` by which integers are divided, one a row (int8) or one (int16).
    divisors: Range<usize>,
}

impl Entry {
    /// An entry whose `data` and `divisors` are ranges inside the file; `Err` says how they contradict the shape.
    pub(crate) fn new(
        dtype: DType,
        shape: Vec<usize>,
        data: Range<usize>,
        divisors: Range<usize>,
    ) -> Result<Self, String> {
        if shape.len() > MAX_RANK {
            return Err(format!("it has {} dimensions; at most {MAX_RANK} make sense", shape.len()));
        }
        if shape.contains(&0) {
            return Err(format!("its shape {shape:?} has no elements"));
        }
        let rows = shape.first().copied().unwrap_or(1);
        let row_len = shape.iter().skip(1).copied().try_fold(1_usize, usize::checked_mul);
        let size = row_len.and_then(|n| n.checked_mul(rows)).and_then(|n| n.checked_mul(dtype.size()));
        let (Some(row_len), Some(size)) = (row_len, size) else {
            return Err(format!("its shape {shape:?} is too large"));
        };
        if data.len() != size {
            return Err(format!("{dtype} of shape {shape:?} takes {size} bytes, but it has {}", data.len()));
        }
        let expected_divisors = match dtype {
            DType::Int8 => rows,
            DType::Int16 => 1,
            DType::F32 | DType::F16 | DType::Bf16 => 0,
        };
        if divisors.len() / size_of::<f32>() != expected_divisors {
            let found = divisors.len() / size_of::<f32>();
            return Err(format!("{dtype} of shape {shape:?} needs {expected_divisors} scales, but it has {found}"));
        }
        Ok(Self { file: 0, dtype, shape, row_len, data, divisors })
    }

    fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The `part`-th of `parts` equal groups of rows, as an entry of its own; `Err` if the rows do not divide evenly.
    pub(crate) fn part(&self, part: usize, parts: usize) -> Result<Self, String> {
        if self.shape.is_empty() || !self.rows().is_multiple_of(parts) {
            return Err(format!("it stacks {parts} matrices, but its shape is {:?}", self.shape));
        }
        let rows = self.rows() / parts;
        let slice = |range: &Range<usize>| {
            let len = range.len() / parts;
            range.start + part * len..range.start + (part + 1) * len
        };
        let mut shape = self.shape.clone();
        shape[0] = rows;
        let divisors = if self.dtype == DType::Int8 { slice(&self.divisors) } else { self.divisors.clone() };
        Ok(Self { shape, data: slice(&self.data), divisors, ..self.clone() })
    }
}

/// A tensor of a [`Checkpoint`](crate::Checkpoint): a view of its mapped bytes.
///
/// *Rows* are the slices along the first dimension, which for weights is the output channel or the token; a scalar is
/// one row of one value. No dimension is zero.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    name: &'a str,
    file: &'a MappedFile,
    entry: &'a Entry,
}

/// The rows of an int8 tensor as they are stored: value `j` of row `i` is `values[i * row_len + j] * scales[i]`.
#[derive(Debug, Clone)]
pub struct Int8Rows<'a> {
    /// Quantised values, row after row; -128 may occur.
    pub values: &'a [i8],
    /// What a step of one is worth in each row; finite and positive.
    pub scales: Vec<f32>,
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

    /// How the values are stored.
    pub fn dtype(&self) -> DType {
        self.entry.dtype
    }

    /// The first dimension; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.entry.rows()
    }

    /// Values in a row: the product of the other dimensions.
    pub fn row_len(&self) -> usize {
        self.entry.row_len
    }

    /// The stored bytes: little-endian values in row-major order, at any alignment, without scales.
    pub fn bytes(&self) -> &'a [u8] {
        &self.file.bytes()[self.entry.data.clone()]
    }

    /// This tensor if its shape is `expected`; else [`Error::Shape`].
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

    /// All values in row-major order, integers multiplied by their scales.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows() * self.row_len()];
        self.rows_f32(0..self.rows(), &mut values);
        values
    }

    /// Writes the values of a range of rows, integers multiplied by their scales, to `out`
    /// (`rows.len()` x [`row_len`](Self::row_len)).
    ///
    /// # Panics
    /// When the range is not one of this tensor's, or `out` has another length.
    pub fn rows_f32(&self, rows: Range<usize>, out: &mut [f32]) {
        let row_len = self.row_len();
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "rows {rows:?} of {}", self.rows());
        assert_eq!(out.len(), rows.len() * row_len, "length of the output for rows {rows:?} of {}", self.name);
        let row_size = row_len * self.dtype().size();
        let bytes = &self.bytes()[rows.start * row_size..rows.end * row_size];
        match self.dtype() {
            DType::F32 => widen(bytes, out, f32::from_le_bytes),
            DType::F16 => widen(bytes, out, f16_to_f32),
            DType::Bf16 => widen(bytes, out, bf16_to_f32),
            DType::Int16 => {
                let scale = self.scale(0);
                widen(bytes, out, |value| f32::from(i16::from_le_bytes(value)) * scale);
            }
            DType::Int8 => {
                for row in 0..rows.len() {
                    let scale = self.scale(rows.start + row);
                    let values = row * row_len..(row + 1) * row_len;
                    widen(&bytes[values.clone()], &mut out[values], |value| {
                        f32::from(i8::from_le_bytes(value)) * scale
                    });
                }
            }
        }
    }

    /// The quantised rows and their scales, if the tensor is stored as int8.
    pub fn int8_rows(&self) -> Option<Int8Rows<'a>> {
        (self.dtype() == DType::Int8).then(|| Int8Rows {
            values: bytemuck::cast_slice(self.bytes()),
            scales: (0..self.rows()).map(|row| self.scale(row)).collect(),
        })
    }

    /// What a step of one is worth: the reciprocal of the `index`-th stored divisor.
    fn scale(&self, index: usize) -> f32 {
        let (divisors, _) = self.file.bytes()[self.entry.divisors.clone()].as_chunks();
        f32::from_le_bytes(divisors[index]).recip()
    }

    /// Takes the tensor's pages out of this process's memory, as a hint to the operating system.
    ///
    /// To be called when the values have been copied: the peak of memory while loading is then the copy alone. The
    /// tensor stays readable; its pages come back from the file when touched.
    pub fn release(&self) {
        self.file.release(self.entry.data.clone());
    }
}
