//! The two generations of NPUs for which designs (compiled programs) are built.

use std::fmt;
use std::str::FromStr;

/// A generation of NPUs. Each variant has the name that the driver and the design tools use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// XDNA (aie2): Phoenix, Hawk Point.
    #[default]
    Npu1,
    /// XDNA2 (aie2p): Strix, Strix Halo, Krackan.
    Npu4,
}

/// Number of bytes in a core's memory that a kernel can use. The stack takes another 1 KiB.
pub const LOCAL_MEMORY: usize = 63 << 10;

impl Target {
    /// All generations that this crate supports.
    pub const ALL: [Self; 2] = [Self::Npu1, Self::Npu4];

    /// The name that the driver and the design tools use for this generation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Npu1 => "npu1",
            Self::Npu4 => "npu4",
        }
    }

    /// Number of columns that designs can use: the whole array, except a column without memory access in the first
    /// generation.
    pub fn columns(self) -> u16 {
        match self {
            Self::Npu1 => 4,
            Self::Npu4 => 8,
        }
    }

    /// Number of core tiles in each column.
    pub fn core_rows(self) -> u16 {
        4
    }

    /// Number of rows, depths and columns of the int8 block product that a core computes in one instruction. A core's
    /// memory stores matrices in such blocks.
    pub fn block(self) -> [usize; 3] {
        match self {
            Self::Npu1 => [4, 8, 8],
            Self::Npu4 => [8, 8, 8],
        }
    }

    /// The maximum number of hardware contexts that can exist at the same time.
    pub fn contexts(self) -> usize {
        match self {
            Self::Npu1 => 6,
            Self::Npu4 => 16,
        }
    }

    /// The generation of a device whose array has this many columns: the first has five columns, the second has
    /// eight. `None` for other numbers.
    pub fn of_columns(columns: u16) -> Option<Self> {
        match columns {
            4 | 5 => Some(Self::Npu1),
            8 => Some(Self::Npu4),
            _ => None,
        }
    }

    /// The generation of the AMD device with this PCI device number. `None` if the device is no known NPU.
    pub fn of_pci_device(device: u16) -> Option<Self> {
        match device {
            0x1502 => Some(Self::Npu1),
            0x17F0 => Some(Self::Npu4),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|target| target.name() == name);
        named.ok_or_else(|| format!("unknown NPU `{name}`: npu1 or npu4"))
    }
}
