//! Reads xclbin files, the containers of designs for the array (Xilinx Runtime, `xrt/detail/xclbin.h`), as far as a
//! context needs them: the partition of the array, its PDIs, and the compute units of its kernels.
//!
//! A file has a head of 456 bytes, a header of 40 bytes for each section, and the sections. The section
//! `AIE_PARTITION` holds arrays that refer to each other by offsets into the section. `IP_LAYOUT` lists kernels. The
//! results borrow from the file, and the length of lists is limited, so no file makes this allocate more than a few
//! kilobytes.

/// Size in bytes of the head of a file. The number of sections is at the end of the head.
const HEAD: usize = 456;
const SECTION_HEADER: usize = 40;
const MAGIC: &[u8; 8] = b"xclbin2\0";
/// Maximum number of sections in a file. Real files have fewer.
const MAX_SECTIONS: usize = 256;

const IP_LAYOUT: u32 = 8;
const AIE_PARTITION: u32 = 32;

/// Maximum number of compute units per context (a limit of the driver). Also the maximum number of PDIs in a file.
const MAX_UNITS: usize = 32;
/// Maximum number of columns of a design. Real arrays have fewer.
const MAX_COLUMNS: usize = 256;

const IP: usize = 80;
const IP_PS_KERNEL: u32 = 7;
/// Bit mask that selects the subtype in a kernel's properties. The next constant is the subtype of kernels that run
/// on the array.
const SUBTYPE: u32 = 3;
const SUBTYPE_DPU: u32 = 1;

const PDI: usize = 96;
const CDO_GROUP: usize = 96;

/// Why an xclbin file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an xclbin for this kind of device: {0}")]
pub struct Malformed(&'static str);

/// The contents of an xclbin file: a design (a compiled program for the NPU's array).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xclbin<'a> {
    /// Number of columns of the array that the design uses.
    pub columns: u16,
    /// The columns of the array that can be the first column of the design.
    pub start_columns: Vec<u16>,
    /// The images that configure the array (PDIs).
    pub pdis: Vec<Pdi<'a>>,
    /// The kernels, in the order of their compute units.
    pub units: Vec<Unit<'a>>,
}

/// An image that configures the array (PDI), with the ids of its kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdi<'a> {
    /// The bytes of the image, which the firmware loads.
    pub image: &'a [u8],
    section: Bytes<'a>,
    groups: Bytes<'a>,
}

/// A kernel of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The name of the kernel, in the form `kernel:instance`.
    pub name: &'a str,
    /// The number that identifies the kernel's function: 0 computes, 1 prepares.
    pub function: u8,
    /// The id by which a PDI refers to the kernel.
    pub kernel_id: u16,
}

impl<'a> Xclbin<'a> {
    /// Parses the bytes of an xclbin file. Returns an error if a part is missing or malformed.
    pub fn parse(file: &'a [u8]) -> Result<Self, Malformed> {
        let bytes = Bytes(file);
        if file.get(..8) != Some(MAGIC) {
            return Err(Malformed("it does not begin with `xclbin2`"));
        }
        let sections = bytes.u32(HEAD - 8)? as usize;
        if sections > MAX_SECTIONS {
            return Err(Malformed("it has too many sections"));
        }
        let section = |kind: u32| -> Result<Option<Bytes<'a>>, Malformed> {
            for index in 0..sections {
                let header = HEAD + index * SECTION_HEADER;
                if bytes.u32(header)? == kind {
                    return bytes.slice(bytes.u64(header + 24)?, bytes.u64(header + 32)?).map(Some);
                }
            }
            Ok(None)
        };
        let partition = section(AIE_PARTITION)?.ok_or(Malformed("it has no AIE_PARTITION"))?;
        let units = section(IP_LAYOUT)?.ok_or(Malformed("it has no IP_LAYOUT"))?;
        Ok(Self {
            columns: partition.u16(32)?,
            start_columns: start_columns(partition)?,
            pdis: pdis(partition)?,
            units: kernels(units)?,
        })
    }

    /// The PDI (configuration image) that contains a kernel: the first that lists the kernel's id. If none does, and
    /// the file has only one PDI, it is that one; otherwise `None`.
    pub fn pdi_of(&self, unit: &Unit<'_>) -> Option<&Pdi<'a>> {
        let named = self.pdis.iter().find(|pdi| pdi.holds(unit.kernel_id));
        named.or_else(|| self.pdis.first().filter(|_| self.pdis.len() == 1))
    }
}

impl Pdi<'_> {
    fn holds(&self, kernel_id: u16) -> bool {
        (0..self.groups.0.len() / CDO_GROUP).any(|group| {
            let ids = self.section.array(&self.groups, group * CDO_GROUP + 16, 8);
            ids.is_ok_and(|ids| {
                ids.0.as_chunks::<8>().0.iter().any(|id| u64::from_le_bytes(*id) == u64::from(kernel_id))
            })
        })
    }
}

fn start_columns(partition: Bytes<'_>) -> Result<Vec<u16>, Malformed> {
    let columns = partition.array(&partition, 40, 2)?;
    if columns.0.len() / 2 > MAX_COLUMNS {
        return Err(Malformed("it has too many columns"));
    }
    Ok(columns.0.as_chunks::<2>().0.iter().map(|column| u16::from_le_bytes(*column)).collect())
}

fn pdis(partition: Bytes<'_>) -> Result<Vec<Pdi<'_>>, Malformed> {
    let list = partition.array(&partition, 120, PDI)?;
    let count = list.0.len() / PDI;
    if count == 0 || count > MAX_UNITS {
        return Err(Malformed("it has no PDI, or too many"));
    }
    let pdi = |index: usize| {
        let image = partition.array(&list, index * PDI + 16, 1)?.0;
        let groups = partition.array(&list, index * PDI + 24, CDO_GROUP)?;
        if image.is_empty() || groups.0.len() / CDO_GROUP > MAX_UNITS {
            return Err(Malformed("a PDI is empty, or has too many groups"));
        }
        Ok(Pdi { image, section: partition, groups })
    };
    (0..count).map(pdi).collect()
}

fn kernels(layout: Bytes<'_>) -> Result<Vec<Unit<'_>>, Malformed> {
    let count = layout.u32(0)? as usize;
    let mut units = Vec::new();
    for index in 0..count {
        let start = 8 + index.checked_mul(IP).ok_or(Malformed(SHORT))?;
        let (kind, properties) = (layout.u32(start)?, layout.u32(start + 4)?);
        if kind != IP_PS_KERNEL || properties & SUBTYPE != SUBTYPE_DPU {
            continue;
        }
        if units.len() == MAX_UNITS {
            return Err(Malformed("it has too many kernels"));
        }
        let name = layout.slice(start as u64 + 16, 64)?.0.split(|byte| *byte == 0).next().unwrap_or_default();
        units.push(Unit {
            name: std::str::from_utf8(name).map_err(|_| Malformed("a kernel's name is no text"))?,
            function: (properties >> 4 & 3) as u8,
            kernel_id: (properties >> 16 & 0xFFF) as u16,
        });
    }
    if units.is_empty() { Err(Malformed("it has no kernel for the array")) } else { Ok(units) }
}

const SHORT: &str = "it ends early";

/// Bytes of the file, from which little-endian values can be read at any offset. A read outside of the bytes is an
/// error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn at<const N: usize>(&self, offset: usize) -> Result<[u8; N], Malformed> {
        self.0.get(offset..).and_then(|rest| rest.first_chunk()).copied().ok_or(Malformed(SHORT))
    }

    fn u16(&self, offset: usize) -> Result<u16, Malformed> {
        self.at(offset).map(u16::from_le_bytes)
    }

    fn u32(&self, offset: usize) -> Result<u32, Malformed> {
        self.at(offset).map(u32::from_le_bytes)
    }

    fn u64(&self, offset: usize) -> Result<u64, Malformed> {
        self.at(offset).map(u64::from_le_bytes)
    }

    fn slice(&self, start: u64, length: u64) -> Result<Self, Malformed> {
        let end = start.checked_add(length).ok_or(Malformed(SHORT))?;
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        range.and_then(|(start, end)| self.0.get(start..end)).map(Self).ok_or(Malformed(SHORT))
    }

    /// Reads an array whose elements have `size` bytes each. The field at `offset` of `list` holds the number of
    /// elements of the array, followed by the array's position in this section.
    fn array(&self, list: &Bytes<'_>, offset: usize, size: usize) -> Result<Bytes<'a>, Malformed> {
        let count = u64::from(list.u32(offset)?);
        self.slice(list.u32(offset + 4)?.into(), count * size as u64)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds a small xclbin file with one PDI for each image and one kernel for each PDI.
    pub(crate) fn xclbin(columns: u16, images: &[&[u8]]) -> Vec<u8> {
        let put = |bytes: &mut Vec<u8>, at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let pair = |count: usize, offset: usize| [(count as u32).to_le_bytes(), (offset as u32).to_le_bytes()].concat();
        // Build the partition: its head, start columns, PDIs, groups, kernel ids, images.
        let (columns_at, pdis_at) = (184, 192);
        let groups_at = pdis_at + images.len() * PDI;
        let ids_at = groups_at + images.len() * CDO_GROUP;
        let mut partition = vec![0; ids_at + images.len() * 8];
        put(&mut partition, 32, &columns.to_le_bytes());
        put(&mut partition, 40, &pair(2, columns_at));
        put(&mut partition, columns_at + 2, &1_u16.to_le_bytes());
        put(&mut partition, 120, &pair(images.len(), pdis_at));
        for (index, image) in images.iter().enumerate() {
            let at = pdis_at + index * PDI;
            let end = partition.len();
            put(&mut partition, at + 16, &pair(image.len(), end));
            put(&mut partition, at + 24, &pair(1, groups_at + index * CDO_GROUP));
            put(&mut partition, groups_at + index * CDO_GROUP + 16, &pair(1, ids_at + index * 8));
            put(&mut partition, ids_at + index * 8, &(0x100 + index as u64).to_le_bytes());
            partition.extend_from_slice(image);
        }
        let mut layout = vec![0; 8 + images.len() * IP];
        put(&mut layout, 0, &(images.len() as u32).to_le_bytes());
        for index in 0..images.len() {
            let properties = SUBTYPE_DPU | (0x100 + index as u32) << 16;
            let at = 8 + index * IP;
            put(&mut layout, at, &IP_PS_KERNEL.to_le_bytes());
            put(&mut layout, at + 4, &properties.to_le_bytes());
            put(&mut layout, at + 16, format!("MLIR_AIE:{index}").as_bytes());
        }
        let mut file = vec![0xFF; HEAD];
        file[..8].copy_from_slice(MAGIC);
        put(&mut file, HEAD - 8, &2_u32.to_le_bytes());
        let mut offset = HEAD + 2 * SECTION_HEADER;
        for (kind, section) in [(IP_LAYOUT, &layout), (AIE_PARTITION, &partition)] {
            file.extend(kind.to_le_bytes());
            file.extend([0; 20]);
            file.extend((offset as u64).to_le_bytes());
            file.extend((section.len() as u64).to_le_bytes());
            offset += section.len();
        }
        file.extend(layout);
        file.extend(partition);
        file
    }

    #[test]
    fn a_design_is_read() {
        let file = xclbin(4, &[b"first", b"second image"]);
        let design = Xclbin::parse(&file).unwrap();
        assert_eq!((design.columns, design.start_columns.as_slice()), (4, &[0, 1][..]));
        assert_eq!(design.pdis.iter().map(|pdi| pdi.image).collect::<Vec<_>>(), [&b"first"[..], b"second image"]);
        assert_eq!(design.units.iter().map(|unit| unit.name).collect::<Vec<_>>(), ["MLIR_AIE:0", "MLIR_AIE:1"]);
        assert_eq!((design.units[1].kernel_id, design.units[1].function), (0x101, 0));
        assert_eq!(design.pdi_of(&design.units[1]).unwrap().image, b"second image");
    }

    #[test]
    fn missing_parts_are_reported() {
        let file = xclbin(4, &[b"pdi"]);
        let message = |file: &[u8]| Xclbin::parse(file).unwrap_err().to_string();
        assert!(message(b"").contains("does not begin"));
        assert!(message(&file[..100]).contains("ends early"));
        let mut other = file.clone();
        other[HEAD] = 9;
        assert!(message(&other).contains("no IP_LAYOUT"));
        let mut other = file;
        other[HEAD + SECTION_HEADER] = 33;
        assert!(message(&other).contains("no AIE_PARTITION"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = xclbin(1, &[b"pdi"]);
        for end in 0..file.len() {
            assert!(Xclbin::parse(&file[..end]).is_err(), "{end} bytes");
        }
    }

    /// Parses a file and, if that succeeds, reads everything in it. Must not panic.
    fn read(file: &[u8]) {
        if let Ok(design) = Xclbin::parse(file) {
            assert!(design.pdis.len() <= MAX_UNITS && design.units.len() <= MAX_UNITS);
            assert!(design.start_columns.len() <= MAX_COLUMNS);
            for unit in &design.units {
                design.pdi_of(unit);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

        #[test]
        fn changed_bytes_cause_no_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..12)) {
            let mut file = xclbin(4, &[b"first", b"second"]);
            for (at, value) in changes {
                let at = at.index(file.len() - 4);
                file[at..at + 4].copy_from_slice(&value);
            }
            // Restore the magic number. If it were wrong, parsing would end there and test nothing else.
            file[..8].copy_from_slice(MAGIC);
            read(&file);
        }

        #[test]
        fn random_bytes_cause_no_panic(noise in prop::collection::vec(any::<u8>(), 0..2000), sections in 0..300_u32) {
            let mut file = xclbin(4, &[b"pdi"]);
            file.truncate(HEAD);
            file[HEAD - 8..HEAD - 4].copy_from_slice(&sections.to_le_bytes());
            file.extend(noise);
            read(&file);
        }
    }
}
