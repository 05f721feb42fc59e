//! The interface between programs and the kernel: ioctl numbers and structures of the driver `amdxdna` and of DRM
//! syncobjs, taken from their headers (`include/uapi/drm/amdxdna_accel.h`, `include/uapi/drm/drm.h`). Nothing is
//! called here.

/// A structure that is the argument of an ioctl, together with the ioctl's number.
pub(crate) trait Request {
    const NUMBER: u32;
}

/// The number of an ioctl of the DRM group `d` whose argument the kernel reads and writes: `number` is the ioctl's
/// number within the group, and `size` is the size of the argument in bytes.
const fn read_write(number: u32, size: usize) -> u32 {
    3 << 30 | (size as u32) << 16 | (b'd' as u32) << 8 | number
}

/// The number of an ioctl of the DRM group `d` whose argument the kernel only reads: `number` is the ioctl's number
/// within the group, and `size` is the size of the argument in bytes.
const fn write(number: u32, size: usize) -> u32 {
    1 << 30 | (size as u32) << 16 | (b'd' as u32) << 8 | number
}

/// Declares ioctl structures with C layout, and checks the number, the size and the offset of every field at compile
/// time.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident = $direction:ident($number:literal), $code:literal, $size:literal {
        $($field:ident: $type:ty = $offset:literal),* $(,)?
    })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }

        impl Request for $name {
            const NUMBER: u32 = $direction($number, size_of::<Self>());
        }

        const _: () = {
            assert!($name::NUMBER == $code && size_of::<$name>() == $size);
            $(assert!(std::mem::offset_of!($name, $field) == $offset);)*
        };
    )*};
}

/// Declares structures that ioctl structures point to. Checks size and field offsets at compile time.
macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident, $size:literal { $($field:ident: $type:ty = $offset:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            $(assert!(std::mem::offset_of!($name, $field) == $offset);)*
        };
    )*};
}

requests! {
    /// Creates a hardware context, which gives this process some columns of the NPU's array.
    CreateHwctx = read_write(0x40), 0xC038_6440, 56 {
        ext: u64 = 0, ext_flags: u64 = 8, qos_p: u64 = 16, umq_bo: u32 = 24, log_buf_bo: u32 = 28, max_opc: u32 = 32,
        num_tiles: u32 = 36, mem_size: u32 = 40, umq_doorbell: u32 = 44, handle: u32 = 48, syncobj_handle: u32 = 52,
    }
    /// Destroys a hardware context.
    DestroyHwctx = read_write(0x41), 0xC008_6441, 8 { handle: u32 = 0, pad: u32 = 4 }
    /// Loads a design (a compiled program for the NPU) into a hardware context.
    ConfigHwctx = read_write(0x42), 0xC018_6442, 24 {
        handle: u32 = 0, param_type: u32 = 4, param_val: u64 = 8, param_val_size: u32 = 16, pad: u32 = 20,
    }
    /// Creates a buffer object.
    CreateBo = read_write(0x43), 0xC020_6443, 32 { flags: u64 = 0, vaddr: u64 = 8, size: u64 = 16, kind: u32 = 24, handle: u32 = 28 }
    /// Returns the file offset at which a buffer object can be mapped, and its device address.
    GetBoInfo = read_write(0x44), 0xC030_6444, 48 {
        ext: u64 = 0, ext_flags: u64 = 8, handle: u32 = 16, pad: u32 = 20, map_offset: u64 = 24, vaddr: u64 = 32,
        xdna_addr: u64 = 40,
    }
    /// Makes what one side (host or device) wrote to a range of a buffer visible to the other side.
    SyncBo = read_write(0x45), 0xC018_6445, 24 { handle: u32 = 0, direction: u32 = 4, offset: u64 = 8, size: u64 = 16 }
    /// Queues a command for execution in a hardware context.
    ExecCmd = read_write(0x46), 0xC038_6446, 56 {
        ext: u64 = 0, ext_flags: u64 = 8, hwctx: u32 = 16, kind: u32 = 20, cmd_handles: u64 = 24, args: u64 = 32,
        cmd_count: u32 = 40, arg_count: u32 = 44, seq: u64 = 48,
    }
    /// Queries a property of the device.
    GetInfo = read_write(0x47), 0xC010_6447, 16 { param: u32 = 0, buffer_size: u32 = 4, buffer: u64 = 8 }
    /// Closes a buffer object (an ioctl of all DRM drivers).
    GemClose = write(0x09), 0x4008_6409, 8 { handle: u32 = 0, pad: u32 = 4 }
    /// Destroys a syncobj (an ioctl of all DRM drivers).
    SyncobjDestroy = read_write(0xC0), 0xC008_64C0, 8 { handle: u32 = 0, pad: u32 = 4 }
    /// Waits until timeline syncobjs have reached the given points (an ioctl of all DRM drivers). The timeout is an absolute time
    /// of the monotonic clock.
    SyncobjTimelineWait = read_write(0xCA), 0xC030_64CA, 48 {
        handles: u64 = 0, points: u64 = 8, timeout_nsec: i64 = 16, count_handles: u32 = 24, flags: u32 = 28,
        first_signaled: u32 = 32, pad: u32 = 36, deadline_nsec: u64 = 40,
    }
}

structures! {
    /// Quality-of-service requests of a context; all zero means no request.
    QosInfo, 24 {
        gops: u32 = 0, fps: u32 = 4, dma_bandwidth: u32 = 8, latency: u32 = 12, frame_exec_time: u32 = 16, priority: u32 = 20,
    }
    /// The number of compute units in a list. The list itself follows in memory.
    ConfigCuHead, 8 { num_cus: u16 = 0, pad: [u16; 3] = 2 }
    /// A compute unit: the buffer object that holds its PDI (the image that configures the array), and its function
    /// number.
    ConfigCu, 8 { cu_bo: u32 = 0, cu_func: u8 = 4, pad: [u8; 3] = 5 }
    /// Description of one type of tile of the NPU's array.
    TileMetadata, 16 {
        row_count: u16 = 0, row_start: u16 = 2, dma_channel_count: u16 = 4, lock_count: u16 = 6, event_reg_count: u16 = 8,
        pad: [u16; 3] = 10,
    }
    /// Description of the NPU's array.
    AieMetadata, 64 {
        col_size: u32 = 0, cols: u16 = 4, rows: u16 = 6, version_major: u32 = 8, version_minor: u32 = 12,
        core: TileMetadata = 16, mem: TileMetadata = 32, shim: TileMetadata = 48,
    }
    /// Firmware version.
    FirmwareVersion, 16 { major: u32 = 0, minor: u32 = 4, patch: u32 = 8, build: u32 = 12 }
}

/// Parameter of `CONFIG_HWCTX`: a list of compute units.
pub(crate) const CONFIG_CU: u32 = 0;
/// Type of `EXEC_CMD`: execute a command buffer.
pub(crate) const SUBMIT_EXEC_BUF: u32 = 0;
/// Parameter of `GET_INFO`: returns an [`AieMetadata`].
pub(crate) const QUERY_AIE_METADATA: u32 = 1;
/// Parameter of `GET_INFO`: returns a [`FirmwareVersion`].
pub(crate) const QUERY_FIRMWARE_VERSION: u32 = 8;
/// `GET_BO_INFO` returns this device address if the device uses the address of the process instead (IOMMU with shared
/// virtual addressing).
pub(crate) const INVALID_ADDRESS: u64 = u64::MAX;
/// Flag of `SYNCOBJ_TIMELINE_WAIT`: if no command for one of the points was submitted yet, the call waits for the
/// submission too, instead of failing.
pub(crate) const WAIT_FOR_SUBMIT: u32 = 2;
