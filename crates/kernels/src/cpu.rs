//! Instruction sets: detection at run time, and functions compiled once for each set.

use std::fmt;

/// An instruction set that the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, compiled for the baseline of the compilation target. This set runs on every machine, and tests
    /// compare the other sets with it.
    Reference,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX2, FMA and AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni,
    /// x86-64 Linux with AVX-512 as above, AVX-512 BF16, and AMX (TILE, INT8, BF16).
    Amx,
    /// aarch64 with the dot-product instructions of Armv8.2.
    Neon,
}

impl Isa {
    /// Every instruction set, fastest first.
    pub const ALL: &'static [Isa] = &[Isa::Amx, Isa::Avx512Vnni, Isa::AvxVnni, Isa::Avx2, Isa::Neon, Isa::Reference];

    /// The name of the set in `AMANUENSIS_ISA` and in reports, such as `avx512_vnni`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Reference => "reference",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avx_vnni",
            Isa::Avx512Vnni => "avx512_vnni",
            Isa::Amx => "amx",
            Isa::Neon => "neon",
        }
    }

    /// Whether this machine has the instruction set.
    fn is_available(self) -> bool {
        match self {
            Isa::Reference => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => Isa::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => Isa::Avx512Vnni.is_available() && is_x86_feature_detected!("avx512bf16") && amx::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni | Isa::Amx => false,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(not(target_arch = "aarch64"))]
            Isa::Neon => false,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an instruction set cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IsaError {
    /// The name is not one of [`Isa::ALL`].
    #[error("unknown instruction set `{0}`; this build knows {known}", known = names())]
    Unknown(String),
    /// The machine does not have this instruction set.
    #[error("this machine has no {0}; unset AMANUENSIS_ISA or set it to another of {known}", known = names())]
    Unavailable(Isa),
}

fn names() -> String {
    Isa::ALL.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

/// Proof that this machine has an instruction set.
///
/// A value can be constructed only after the set was detected. Therefore it is sound to call (with `unsafe`) a
/// function that is compiled for the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    isa: Isa,
}

impl Cpu {
    /// The fastest instruction set of this machine.
    pub fn detect() -> Self {
        let best = Isa::ALL.iter().copied().find(|isa| isa.is_available());
        Self { isa: best.unwrap_or(Isa::Reference) }
    }

    /// Returns the given instruction set, or [`IsaError::Unavailable`] if the machine does not have it.
    pub fn with(isa: Isa) -> Result<Self, IsaError> {
        if isa.is_available() { Ok(Self { isa }) } else { Err(IsaError::Unavailable(isa)) }
    }

    /// Returns the instruction set that the environment variable `AMANUENSIS_ISA` names, or the fastest instruction
    /// set of this machine if the variable is unset or empty.
    ///
    /// # Errors
    ///
    /// If the name is unknown, or this machine does not have the set.
    pub fn from_environment() -> Result<Self, IsaError> {
        match std::env::var("AMANUENSIS_ISA") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            _ => Ok(Self::detect()),
        }
    }

    fn named(name: &str) -> Result<Self, IsaError> {
        let isa = Isa::ALL.iter().find(|isa| isa.name() == name);
        isa.map_or_else(|| Err(IsaError::Unknown(name.to_owned())), |isa| Self::with(*isa))
    }

    /// Every instruction set that this machine has, fastest first. Tests check each of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Isa::ALL.iter().filter_map(|isa| Self::with(*isa).ok())
    }

    /// The instruction set that, as this value proves, the machine has.
    pub fn isa(self) -> Isa {
        self.isa
    }
}

/// Detection of AMX: the processor must have it, and the operating system must permit this process to use it.
#[cfg(target_arch = "x86_64")]
mod amx {
    use std::arch::x86_64::__cpuid_count;
    use std::sync::LazyLock;

    /// The bits of register EDX of CPUID leaf 7 for AMX-BF16, AMX-TILE and AMX-INT8.
    const FEATURES: u32 = 1 << 22 | 1 << 24 | 1 << 25;

    pub(super) fn is_available() -> bool {
        // Once a process has permission, Linux reserves space for the tile registers of every thread. So permission
        // is requested once, and before worker threads start.
        static AVAILABLE: LazyLock<bool> =
            LazyLock::new(|| __cpuid_count(7, 0).edx & FEATURES == FEATURES && is_permitted());
        *AVAILABLE
    }

    #[cfg(target_os = "linux")]
    fn is_permitted() -> bool {
        /// The system call `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, since Linux 5.16. Older versions
        /// return an error.
        const ARCH_PRCTL: isize = 158;
        const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
        const XFEATURE_XTILEDATA: usize = 18;
        let result: isize;
        // SAFETY: this system call reads and writes no memory of the process. The registers that a system call
        // overwrites (`rax`, `rcx` and `r11`) are declared as outputs.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }

    #[cfg(not(target_os = "linux"))]
    fn is_permitted() -> bool {
        false
    }
}

/// Compiles one plain Rust function for several instruction sets. The generated function takes a [`Cpu`] as an
/// additional first argument and calls the version for it.
///
/// The body should consist of loops over arrays of fixed width, which the compiler turns into vector code. All versions
/// return the same bits, because the compiler neither fuses nor reorders floating-point operations.
macro_rules! multiversion {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $return:ty)? $body:block) => {
        $(#[$attribute])*
        $visibility fn $name(cpu: $crate::Cpu, $($argument: $type),*) $(-> $return)? {
            #[inline(always)]
            #[allow(clippy::inline_always, reason = "inlining into each version is what compiles it for that version")]
            fn generic($($argument: $type),*) $(-> $return)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $return)? {
                generic($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) $(-> $return)? {
                generic($($argument),*)
            }
            match cpu.isa() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Cpu` with one of these sets exists only after AVX2 and FMA were detected.
                $crate::Isa::Avx2 | $crate::Isa::AvxVnni => unsafe { avx2($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Cpu` with one of these sets exists only after these parts of AVX-512 were detected.
                $crate::Isa::Avx512Vnni | $crate::Isa::Amx => unsafe { avx512($($argument),*) },
                _ => generic($($argument),*),
            }
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_rejected_with_the_list_of_known_names() {
        assert_eq!(Cpu::named("reference").unwrap().isa(), Isa::Reference);
        let error = Cpu::named("sse9").unwrap_err().to_string();
        assert!(
            error.contains("sse9") && error.contains("amx, avx512_vnni, avx_vnni, avx2, neon, reference"),
            "{error}"
        );
    }

    #[test]
    fn the_reference_is_always_available_and_detection_picks_the_fastest_set() {
        assert_eq!(Cpu::all().last().unwrap().isa(), Isa::Reference);
        assert_eq!(Cpu::all().next(), Some(Cpu::detect()));
    }
}
