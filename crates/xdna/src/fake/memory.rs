//! Buffers that have separate bytes for the host and the device. Only a synchronisation copies bytes from one side
//! to the other.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::driver::{BufferKind, BufferObject, Call, Direction, Failure, HEAP_SIZE, errno};

/// The device address of the heap. The next constant is the device address of the first data buffer.
const HEAP_ADDRESS: u64 = 0x400_0000;
const DATA_ADDRESS: u64 = 0x7F00_0000_0000;
/// Alignment of buffers in bytes.
const PAGE: usize = 4096;
/// Maximum size of a command in bytes.
const MAX_COMMAND: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Memory {
    buffers: BTreeMap<u32, Buffer>,
    next_handle: u32,
    next_data: u64,
    /// Number of bytes of the heap that are in use. Each new buffer is placed after these bytes.
    heap_used: usize,
    lock_limit: usize,
}

#[derive(Debug)]
struct Buffer {
    kind: BufferKind,
    address: u64,
    host: Vec<u8>,
    device: Vec<u8>,
}

impl Buffer {
    fn holds(&self, address: u64, size: usize) -> bool {
        let start = address.checked_sub(self.address).map_or(usize::MAX, |start| start as usize);
        start.checked_add(size).is_some_and(|end| end <= self.device.len())
    }
}

impl Memory {
    pub(super) fn new(lock_limit: usize) -> Self {
        Self { buffers: BTreeMap::new(), next_handle: 1, next_data: DATA_ADDRESS, heap_used: 0, lock_limit }
    }

    pub(super) fn has_heap(&self) -> bool {
        self.buffers.values().any(|buffer| buffer.kind == BufferKind::Heap)
    }

    pub(super) fn create(&mut self, kind: BufferKind, size: usize, call: Call) -> Result<BufferObject, Failure> {
        let refused = |errno| Err(Failure::new(call, errno));
        let pages = size.next_multiple_of(PAGE);
        let (address, held) = match kind {
            _ if size == 0 => return refused(errno::INVAL),
            BufferKind::Heap if !size.is_multiple_of(HEAP_SIZE) => return refused(errno::INVAL),
            BufferKind::Heap if self.has_heap() => return refused(errno::BUSY),
            BufferKind::Heap if size > self.lock_limit => return refused(errno::AGAIN),
            // The heap has no bytes of its own. Each buffer allocated from it has its own bytes.
            BufferKind::Heap => (HEAP_ADDRESS, 0),
            BufferKind::Device if !self.has_heap() => return refused(errno::INVAL),
            BufferKind::Device if self.heap_used + pages > HEAP_SIZE => return refused(errno::NOSPC),
            BufferKind::Device => {
                self.heap_used += pages;
                (HEAP_ADDRESS + (self.heap_used - pages) as u64, size)
            }
            BufferKind::Command if size > MAX_COMMAND => return refused(errno::INVAL),
            BufferKind::Data | BufferKind::Command => {
                self.next_data += pages as u64;
                (self.next_data - pages as u64, size)
            }
        };
        let handle = self.next_handle;
        self.next_handle += 1;
        self.buffers.insert(handle, Buffer { kind, address, host: vec![0; held], device: vec![0; held] });
        Ok(BufferObject { handle, address })
    }

    pub(super) fn close(&mut self, handle: u32) -> Result<(), Failure> {
        self.buffers.remove(&handle).map(drop).ok_or(MISSING)
    }

    pub(super) fn host(&self, handle: u32) -> Result<&[u8], Failure> {
        self.buffers.get(&handle).map(|buffer| buffer.host.as_slice()).ok_or(MISSING)
    }

    pub(super) fn host_mut(&mut self, handle: u32) -> Result<&mut [u8], Failure> {
        self.buffers.get_mut(&handle).map(|buffer| buffer.host.as_mut_slice()).ok_or(MISSING)
    }

    pub(super) fn kind(&self, handle: u32) -> Option<BufferKind> {
        self.buffers.get(&handle).map(|buffer| buffer.kind)
    }

    /// The bytes of a buffer as the device sees them; `None` if there is no such buffer.
    pub(super) fn device(&self, handle: u32) -> Option<&[u8]> {
        self.buffers.get(&handle).map(|buffer| buffer.device.as_slice())
    }

    pub(super) fn sync(&mut self, handle: u32, direction: Direction, range: Range<usize>) -> Result<(), Failure> {
        let buffer = self.buffers.get_mut(&handle).ok_or(Failure::new(Call::Sync, errno::NOENT))?;
        if range.start > range.end || range.end > buffer.host.len() {
            return Err(Failure::new(Call::Sync, errno::INVAL));
        }
        let Buffer { host, device, .. } = buffer;
        match direction {
            Direction::ToDevice => device[range.clone()].copy_from_slice(&host[range]),
            Direction::FromDevice => host[range.clone()].copy_from_slice(&device[range]),
        }
        Ok(())
    }

    /// Returns the `size` bytes at a device address, as the device sees them. `None` unless they lie in one of the
    /// buffers `handles`.
    pub(super) fn read(&self, handles: &[u32], address: u64, size: usize) -> Option<&[u8]> {
        let buffers = handles.iter().filter_map(|handle| self.buffers.get(handle));
        let buffer = buffers.into_iter().find(|buffer| buffer.holds(address, size))?;
        Some(&buffer.device[(address - buffer.address) as usize..][..size])
    }

    /// Returns the `size` bytes at a device address in the heap, where instructions are stored, as the device sees
    /// them. `None` unless they lie in one buffer.
    pub(super) fn read_heap(&self, address: u64, size: usize) -> Option<&[u8]> {
        let buffers = self.buffers.values().filter(|buffer| buffer.kind == BufferKind::Device);
        let buffer = buffers.into_iter().find(|buffer| buffer.holds(address, size))?;
        Some(&buffer.device[(address - buffer.address) as usize..][..size])
    }

    /// Returns the `size` bytes at a device address, so that the device can write them. `None` unless they lie in one
    /// of the buffers `handles`.
    pub(super) fn write(&mut self, handles: &[u32], address: u64, size: usize) -> Option<&mut [u8]> {
        let handle =
            handles.iter().find(|handle| self.buffers.get(handle).is_some_and(|buffer| buffer.holds(address, size)))?;
        let buffer = self.buffers.get_mut(handle)?;
        let start = (address - buffer.address) as usize;
        Some(&mut buffer.device[start..][..size])
    }
}

const MISSING: Failure = Failure { call: Call::Buffer, errno: errno::NOENT };
