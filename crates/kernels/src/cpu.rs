//! Which instructions this machine has, found once at run time.

use std::fmt;

/// An instruction set that the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, compiled for the target's baseline. Runs everywhere and is what the others are checked against.
    Reference,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// The same with AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 (F, BW, DQ, VL) and its VNNI.
    Avx512Vnni,
    /// That with its BF16, and the tiles of AMX (INT8, BF16), on Linux.
    Amx,
    /// aarch64 with the dot product of Armv8.2.
    Neon,
}

impl Isa {
    /// Every instruction set, best first.
    pub const ALL: &'static [Isa] = &[Isa::Amx, Isa::Avx512Vnni, Isa::AvxVnni, Isa::Avx2, Isa::Neon, Isa::Reference];

    /// The name used by `AMANUENSIS_ISA` and in reports.
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
    /// The machine lacks it.
    #[error("this machine has no {0}; unset AMANUENSIS_ISA, or choose another of {known}", known = names())]
    Unavailable(Isa),
}

fn names() -> String {
    Isa::ALL.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

/// Proof that this machine has an instruction set: a value exists only where the check has passed, and the `unsafe`
/// calls into code compiled for that set rest on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    isa: Isa,
}

impl Cpu {
    /// The best instruction set of this machine.
    pub fn detect() -> Self {
        let best = Isa::ALL.iter().copied().find(|isa| isa.is_available());
        Self { isa: best.unwrap_or(Isa::Reference) }
    }

    /// A particular instruction set, if the machine has it.
    pub fn with(isa: Isa) -> Result<Self, IsaError> {
        if isa.is_available() { Ok(Self { isa }) } else { Err(IsaError::Unavailable(isa)) }
    }

    /// The set named by `AMANUENSIS_ISA`, else the best one.
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

    /// Every instruction set of this machine: what the conformance tests run over.
    pub fn all() -> impl Iterator<Item = Self> {
        Isa::ALL.iter().filter_map(|isa| Self::with(*isa).ok())
    }

    /// The instruction set this value stands for.
    pub fn isa(self) -> Isa {
        self.isa
    }
}

/// Whether the processor has the tiles of AMX, and the system lets this process use them.
#[cfg(target_arch = "x86_64")]
mod amx {
    use std::arch::x86_64::__cpuid_count;
    use std::sync::LazyLock;

    /// EDX of CPUID leaf 7: AMX-BF16, AMX-TILE, AMX-INT8.
    const FEATURES: u32 = 1 << 22 | 1 << 24 | 1 << 25;

    pub(super) fn is_available() -> bool {
        // Linux makes room for the tiles of every thread that is started later: it is asked once, before there are any.
        static AVAILABLE: LazyLock<bool> =
            LazyLock::new(|| __cpuid_count(7, 0).edx & FEATURES == FEATURES && is_permitted());
        *AVAILABLE
    }

    #[cfg(target_os = "linux")]
    fn is_permitted() -> bool {
        /// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)` of Linux 5.16 and later; older ones know no such code.
        const ARCH_PRCTL: isize = 158;
        const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
        const XFEATURE_XTILEDATA: usize = 18;
        let result: isize;
        // SAFETY: the call reads and writes no memory of this process. A system call overwrites `rcx` and `r11`.
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

/// Compiles one plain Rust function for every instruction set and picks by the [`Cpu`] handed in as first argument.
///
/// The body is written as loops over fixed-width lanes that the compiler turns into vector code. Nothing in it may be
/// fused or reordered by the compiler, so all versions return the same bits.
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
                // SAFETY: a `Cpu` of these kinds exists only where AVX2 and FMA were detected.
                $crate::Isa::Avx2 | $crate::Isa::AvxVnni => unsafe { avx2($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Cpu` of these kinds exists only where these parts of AVX-512 were detected.
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
    fn names_are_checked() {
        assert_eq!(Cpu::named("reference").unwrap().isa(), Isa::Reference);
        let error = Cpu::named("sse9").unwrap_err().to_string();
        assert!(
            error.contains("sse9") && error.contains("amx, avx512_vnni, avx_vnni, avx2, neon, reference"),
            "{error}"
        );
    }

    #[test]
    fn detection_ends_with_the_reference() {
        assert_eq!(Cpu::all().last().unwrap().isa(), Isa::Reference);
        assert_eq!(Cpu::all().next(), Some(Cpu::detect()));
    }
}
