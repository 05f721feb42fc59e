//! The real driver: ioctls and mappings of `/dev/accel/accel*`. All unsafe code of this crate is here.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl as IoctlRequest, IoctlOutput, Opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::time::{ClockId, clock_gettime};

use crate::abi::{self, Request};
use crate::driver::{
    BufferKind, BufferObject, Call, ComputeUnit, Context, Direction, Driver, Failure, HEAP_SIZE, Info, errno,
};
use crate::error::Error;

/// An open device of the driver `amdxdna`.
#[derive(Debug)]
pub struct Ioctl {
    device: File,
    buffers: HashMap<u32, Mapped>,
    /// The device heap, from which device buffers are allocated. `None` until it is created.
    heap: Option<BufferObject>,
}

/// Where the bytes of a buffer are mapped in this process.
#[derive(Debug)]
enum Mapped {
    /// The buffer has its own mapping.
    Own(Mapping),
    /// The buffer is this byte range of the heap's mapping.
    InHeap(Range<usize>),
}

impl Ioctl {
    /// Opens the device file at `path`. If it cannot be opened, the error says whether the file is missing, forbidden
    /// or unusable.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let device = OpenOptions::new().read(true).write(true).open(path).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                std::io::ErrorKind::PermissionDenied => Error::Permission { path },
                std::io::ErrorKind::NotFound => Error::NoDevice,
                _ => Error::Open { path, source },
            }
        })?;
        Ok(Self { device, buffers: HashMap::new(), heap: None })
    }

    fn call<T: Request>(&self, call: Call, request: &mut T) -> Result<(), Failure> {
        // SAFETY: the kernel reads and writes only inside `request`, because its size is part of the ioctl number.
        // `T` has the layout of the driver's header (`abi` checks size and offsets at compile time). If `T` contains
        // addresses, the callers of this function keep the memory behind them alive during the call.
        let mut ask = || unsafe { ioctl::ioctl(&self.device, Wrapped(&raw mut *request)) };
        rustix::io::retry_on_intr(&mut ask).map_err(|error| failure(call, error))
    }

    fn query<T: Copy + Default>(&self, param: u32) -> Result<T, Failure> {
        let mut answer = T::default();
        let buffer = (&raw mut answer) as u64;
        self.call(Call::Info, &mut abi::GetInfo { param, buffer_size: size_of::<T>() as u32, buffer })?;
        Ok(answer)
    }

    fn heap_mapping(&self) -> Option<&Mapping> {
        match self.buffers.get(&self.heap?.handle)? {
            Mapped::Own(mapping) => Some(mapping),
            Mapped::InHeap(_) => None,
        }
    }

    /// Maps a new buffer and returns the mapping and the device address. A device buffer gets no new mapping, because
    /// it is a range of the heap's mapping.
    fn map(&self, kind: BufferKind, info: &abi::GetBoInfo, size: usize) -> Result<(Mapped, u64), Failure> {
        if kind == BufferKind::Device {
            let heap = self.heap.ok_or(Failure::new(Call::CreateDeviceBuffer, errno::NOENT))?;
            let start = info.xdna_addr.checked_sub(heap.address).map_or(usize::MAX, |start| start as usize);
            if start.checked_add(size).is_none_or(|end| end > HEAP_SIZE) {
                return Err(Failure::new(Call::CreateDeviceBuffer, errno::INVAL));
            }
            return Ok((Mapped::InHeap(start..start + size), info.xdna_addr));
        }
        let alignment = if kind == BufferKind::Heap { HEAP_SIZE } else { 1 };
        let mapping = Mapping::new(&self.device, info.map_offset, size, alignment)?;
        // With shared virtual addressing, the device uses the addresses of the process.
        let address = if info.xdna_addr == abi::INVALID_ADDRESS { mapping.address() } else { info.xdna_addr };
        Ok((Mapped::Own(mapping), address))
    }
}

impl Driver for Ioctl {
    fn info(&mut self) -> Result<Info, Failure> {
        let array: abi::AieMetadata = self.query(abi::QUERY_AIE_METADATA)?;
        let firmware: Option<abi::FirmwareVersion> = self.query(abi::QUERY_FIRMWARE_VERSION).ok();
        Ok(Info {
            columns: array.cols,
            core_rows: array.core.row_count,
            array_version: (array.version_major, array.version_minor),
            firmware: firmware.map(|version| [version.major, version.minor, version.patch, version.build]),
        })
    }

    fn create_buffer(&mut self, kind: BufferKind, size: usize) -> Result<BufferObject, Failure> {
        let call = match kind {
            BufferKind::Heap => Call::CreateHeap,
            BufferKind::Device => Call::CreateDeviceBuffer,
            BufferKind::Data | BufferKind::Command => Call::CreateBuffer,
        };
        let mut created = abi::CreateBo { size: size as u64, kind: kind.code(), ..Default::default() };
        self.call(call, &mut created)?;
        let handle = created.handle;
        let mut info = abi::GetBoInfo { handle, ..Default::default() };
        let mapped = self.call(call, &mut info).and_then(|()| self.map(kind, &info, size));
        match mapped {
            Ok((mapped, address)) => {
                self.buffers.insert(handle, mapped);
                let buffer = BufferObject { handle, address };
                if kind == BufferKind::Heap {
                    self.heap = Some(buffer);
                }
                Ok(buffer)
            }
            Err(failure) => {
                // The buffer was created but cannot be used, so it is closed. An error of closing it is ignored.
                let _ = self.call(Call::Release, &mut abi::GemClose { handle, pad: 0 });
                Err(failure)
            }
        }
    }

    fn close_buffer(&mut self, handle: u32) -> Result<(), Failure> {
        self.buffers.remove(&handle).ok_or(Failure::new(Call::Buffer, errno::NOENT))?;
        self.call(Call::Release, &mut abi::GemClose { handle, pad: 0 })
    }

    fn bytes(&self, handle: u32) -> Result<&[u8], Failure> {
        let missing = Failure::new(Call::Buffer, errno::NOENT);
        match self.buffers.get(&handle).ok_or(missing)? {
            Mapped::Own(mapping) => Ok(mapping.bytes()),
            Mapped::InHeap(range) => Ok(&self.heap_mapping().ok_or(missing)?.bytes()[range.clone()]),
        }
    }

    fn bytes_mut(&mut self, handle: u32) -> Result<&mut [u8], Failure> {
        let missing = Failure::new(Call::Buffer, errno::NOENT);
        let (owner, range) = match self.buffers.get(&handle).ok_or(missing)? {
            Mapped::Own(mapping) => (handle, 0..mapping.size),
            Mapped::InHeap(range) => (self.heap.ok_or(missing)?.handle, range.clone()),
        };
        match self.buffers.get_mut(&owner) {
            Some(Mapped::Own(mapping)) => Ok(&mut mapping.bytes_mut()[range]),
            _ => Err(missing),
        }
    }

    fn sync(&mut self, handle: u32, direction: Direction, range: Range<usize>) -> Result<(), Failure> {
        let direction = u32::from(direction == Direction::FromDevice);
        let (offset, size) = (range.start as u64, range.len() as u64);
        self.call(Call::Sync, &mut abi::SyncBo { handle, direction, offset, size })
    }

    fn create_context(&mut self, tiles: u32) -> Result<Context, Failure> {
        /// The number of operations per cycle to request for a context: the value that the vendor's runtime requests.
        const MAX_OPC: u32 = 0x800;
        let wishes = abi::QosInfo::default();
        let qos_p = (&raw const wishes) as u64;
        let mut created = abi::CreateHwctx { qos_p, max_opc: MAX_OPC, num_tiles: tiles, ..Default::default() };
        self.call(Call::CreateContext, &mut created)?;
        Ok(Context { handle: created.handle, timeline: created.syncobj_handle })
    }

    fn configure(&mut self, context: Context, units: &[ComputeUnit]) -> Result<(), Failure> {
        let head = abi::ConfigCuHead { num_cus: units.len() as u16, pad: [0; 3] };
        // The list is built from 8-byte words, because its structures must be aligned to eight bytes.
        let mut list = vec![u64::from(head.num_cus)];
        list.extend(units.iter().map(|unit| u64::from(unit.buffer) | u64::from(unit.function) << 32));
        const { assert!(size_of::<abi::ConfigCuHead>() == 8 && size_of::<abi::ConfigCu>() == 8) };
        self.call(
            Call::Configure,
            &mut abi::ConfigHwctx {
                handle: context.handle,
                param_type: abi::CONFIG_CU,
                param_val: list.as_ptr() as u64,
                param_val_size: size_of_val(list.as_slice()) as u32,
                pad: 0,
            },
        )
    }

    fn execute(&mut self, context: Context, command: u32, arguments: &[u32]) -> Result<u64, Failure> {
        let mut submitted = abi::ExecCmd {
            hwctx: context.handle,
            kind: abi::SUBMIT_EXEC_BUF,
            // For a single command, this field is the command's handle and not the address of a list.
            cmd_handles: u64::from(command),
            args: arguments.as_ptr() as u64,
            cmd_count: 1,
            arg_count: arguments.len() as u32,
            ..Default::default()
        };
        self.call(Call::Execute, &mut submitted)?;
        Ok(submitted.seq)
    }

    fn wait(&mut self, context: Context, point: u64, timeout: Duration) -> Result<(), Failure> {
        let now = clock_gettime(ClockId::Monotonic);
        let until = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32).saturating_add(timeout);
        self.call(
            Call::Wait,
            &mut abi::SyncobjTimelineWait {
                handles: (&raw const context.timeline) as u64,
                points: (&raw const point) as u64,
                timeout_nsec: i64::try_from(until.as_nanos()).unwrap_or(i64::MAX),
                count_handles: 1,
                flags: abi::WAIT_FOR_SUBMIT,
                ..Default::default()
            },
        )
    }

    fn destroy_context(&mut self, context: Context) -> Result<(), Failure> {
        self.call(Call::Release, &mut abi::DestroyHwctx { handle: context.handle, pad: 0 })?;
        self.call(Call::Release, &mut abi::SyncobjDestroy { handle: context.timeline, pad: 0 })
    }
}

fn failure(call: Call, error: Errno) -> Failure {
    Failure::new(call, error.raw_os_error())
}

/// A pointer to the argument of an ioctl, as the ioctl function requires it.
struct Wrapped<T>(*mut T);

// SAFETY: the pointer must be valid for the ioctl. It points to a `T` that is borrowed for the call and has the size
// that the ioctl number contains. The kernel writes only integers into it, of which every bit pattern is valid. This
// code reads nothing through the pointer.
unsafe impl<T: Request> IoctlRequest for Wrapped<T> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        T::NUMBER as Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.0.cast()
    }

    /// Returns nothing, because the result is in the request.
    ///
    /// # Safety
    /// The contract of the trait's method. The pointer is not used.
    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// A buffer that the driver has mapped into this process.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    size: usize,
    /// Start and length in bytes of the reserved address range. The range contains the mapping and is unmapped
    /// together with it. It may be larger than the mapping, so that the mapping can be aligned.
    reserved: (NonNull<c_void>, usize),
}

// SAFETY: a mapping is valid in every thread of the process, and its bytes are accessible only through this value.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference gives only read access to the bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the buffer at `offset` of the device file to an address that is a multiple of `alignment`.
    fn new(device: &File, offset: u64, size: usize, alignment: usize) -> Result<Self, Failure> {
        let failed = |error| failure(Call::Map, error);
        let room = size.checked_add(if alignment > 1 { alignment } else { 0 });
        let room = room.filter(|room| *room > 0).ok_or(Failure::new(Call::Map, errno::INVAL))?;
        // SAFETY: the kernel chooses a free address for the new mapping, so no existing mapping is replaced.
        let reserved =
            unsafe { mmap_anonymous(null_mut(), room, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE) };
        let reserved = NonNull::new(reserved.map_err(failed)?).ok_or(Failure::new(Call::Map, errno::NOMEM))?;
        let address = reserved.as_ptr() as usize;
        let start = reserved.as_ptr().wrapping_byte_add(address.next_multiple_of(alignment) - address);
        let mut flags = MapFlags::SHARED | MapFlags::FIXED;
        if alignment > 1 {
            // The heap must not be paged out, so it is locked. It counts against the process's limit of locked
            // memory.
            flags |= MapFlags::LOCKED;
        }
        // SAFETY: `start..start + size` lies in the range that was just reserved. Nothing uses this range yet, so
        // replacing its mapping is harmless.
        let mapped = unsafe { mmap(start, size, ProtFlags::READ | ProtFlags::WRITE, flags, device, offset) };
        match mapped.map(NonNull::new) {
            Ok(Some(start)) => Ok(Self { start: start.cast(), size, reserved: (reserved, room) }),
            outcome => {
                // SAFETY: the range was reserved by this function, and nothing uses it.
                let _ = unsafe { munmap(reserved.as_ptr(), room) };
                Err(outcome.err().map_or(Failure::new(Call::Map, errno::NOMEM), failed))
            }
        }
    }

    fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `size` bytes starting at `start` are mapped for reading as long as `self` lives, and every bit
        // pattern is a valid `u8`. The bytes must not change while they are borrowed. The device writes only while a
        // command is pending, and only to buffers that the command names. The contract of `Driver::bytes` forbids
        // reading those bytes at that time; code that breaks it would read other numbers.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the conditions of `bytes` hold, the mapping is writable, and `&mut self` excludes other references
        // in this process.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let (start, size) = self.reserved;
        // SAFETY: this value owns the reserved range and the mapping in it, and all borrows of the bytes have ended.
        let _ = unsafe { munmap(start.as_ptr(), size) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::*;

    #[test]
    fn a_mapping_is_aligned_and_written_through() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        for alignment in [1, 1 << 20] {
            let Ok(mut mapping) = Mapping::new(&file, 4096, 4096, alignment) else {
                println!("skipped: this system locks no memory");
                continue;
            };
            assert!(mapping.address().is_multiple_of(alignment as u64));
            assert_eq!(mapping.bytes().len(), 4096);
            mapping.bytes_mut()[5] = 7;
            drop(mapping);
            let mut byte = [0];
            file.seek(SeekFrom::Start(4096 + 5)).unwrap();
            file.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [7]);
        }
    }

    #[test]
    fn errors_of_the_system_are_reported() {
        assert!(matches!(Ioctl::open(Path::new("/dev/accel/none")), Err(Error::NoDevice)));
        // An ordinary file is used as a device, because it refuses all ioctls.
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut device = Ioctl::open(file.path()).unwrap();
        assert_eq!(device.info().unwrap_err().call, Call::Info);
        assert_eq!(device.create_buffer(BufferKind::Data, 4096).unwrap_err().call, Call::CreateBuffer);
        assert_eq!(device.bytes(1).unwrap_err(), Failure::new(Call::Buffer, errno::NOENT));
    }
}
