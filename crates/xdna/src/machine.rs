//! The NPUs of a machine, read from `/sys` and `/proc` without opening a device.

use std::fs;
use std::path::{Path, PathBuf};

use crate::driver::Driver;
use crate::error::Error;
use crate::target::Target;

/// Name of the kernel driver for AMD NPUs.
const DRIVER: &str = "amdxdna";
const VENDOR: u16 = 0x1022;

/// An NPU that the kernel driver is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The path of the device file.
    pub path: PathBuf,
    /// The PCI vendor and device numbers, such as `1022:1502`.
    pub pci_id: String,
    /// The generation of the NPU, or `None` if this program does not know it.
    pub target: Option<Target>,
    /// The name that the driver gives to the NPU.
    pub name: Option<String>,
    /// The version of the NPU's firmware.
    pub firmware: Option<String>,
}

/// The NPUs of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The NPUs that the driver `amdxdna` is bound to. This process may lack the permission to open their device
    /// files.
    pub devices: Vec<Found>,
    /// PCI ids of NPUs that no driver is bound to.
    pub undriven: Vec<String>,
    /// The version of the Linux kernel.
    pub kernel: Option<String>,
    /// The version of the driver `amdxdna`, if it reports one.
    pub driver: Option<String>,
    /// Number of bytes that this process may lock in memory; `None` if unlimited or unknown.
    pub memory_lock: Option<u64>,
}

impl Machine {
    /// Reads the NPUs of the machine that this program runs on.
    pub fn here() -> Self {
        Self::at(Path::new("/"))
    }

    /// Reads the NPUs of the machine whose `/sys` and `/proc` are below `root`.
    pub fn at(root: &Path) -> Self {
        let devices = entries(&root.join("sys/class/accel")).filter_map(|entry| found(root, &entry)).collect();
        let undriven = entries(&root.join("sys/bus/pci/devices")).filter(|device| !device.join("driver").exists());
        let undriven = undriven.filter_map(|device| {
            let (vendor, device) = pci_id(&device)?;
            (vendor == VENDOR && Target::of_pci_device(device).is_some()).then(|| format!("{vendor:04x}:{device:04x}"))
        });
        Self {
            devices,
            undriven: undriven.collect(),
            kernel: line(&root.join("proc/sys/kernel/osrelease")),
            driver: line(&root.join("sys/module/amdxdna/version")),
            memory_lock: memory_lock(&root.join("proc/self/limits")),
        }
    }

    /// Returns the first NPU that the driver is bound to. If there is none, the error says why.
    pub fn device(&self) -> Result<&Found, Error> {
        if !cfg!(target_os = "linux") {
            return Err(Error::NotLinux);
        }
        self.devices.first().ok_or_else(|| match self.undriven.first() {
            Some(id) => Error::NoDriver { id: id.clone() },
            None => Error::NoDevice,
        })
    }

    /// Whether the machine has an NPU, even if no driver is bound to it.
    pub fn has_npu(&self) -> bool {
        !self.devices.is_empty() || !self.undriven.is_empty()
    }
}

impl Found {
    /// Opens the device file of this NPU.
    #[cfg(target_os = "linux")]
    pub fn open(&self) -> Result<Box<dyn Driver>, Error> {
        Ok(Box::new(crate::ioctl::Ioctl::open(&self.path)?))
    }

    /// Fails, because NPUs can be used on Linux only.
    #[cfg(not(target_os = "linux"))]
    pub fn open(&self) -> Result<Box<dyn Driver>, Error> {
        Err(Error::NotLinux)
    }
}

fn found(root: &Path, entry: &Path) -> Option<Found> {
    let device = entry.join("device");
    // The link `driver` points to a directory that is named after the driver.
    let driver = fs::canonicalize(device.join("driver")).ok()?;
    if driver.file_name()? != DRIVER {
        return None;
    }
    let (vendor, id) = pci_id(&device)?;
    Some(Found {
        path: root.join("dev/accel").join(entry.file_name()?),
        pci_id: format!("{vendor:04x}:{id:04x}"),
        target: Target::of_pci_device(id).filter(|_| vendor == VENDOR),
        name: line(&device.join("vbnv")),
        firmware: line(&device.join("fw_version")),
    })
}

fn pci_id(device: &Path) -> Option<(u16, u16)> {
    let number = |name: &str| u16::from_str_radix(line(&device.join(name))?.strip_prefix("0x")?, 16).ok();
    Some((number("vendor")?, number("device")?))
}

/// The entries of a directory, sorted by path. Empty if the directory cannot be read.
fn entries(directory: &Path) -> std::vec::IntoIter<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter()
}

fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned()).filter(|line| !line.is_empty())
}

fn memory_lock(limits: &Path) -> Option<u64> {
    let limits = fs::read_to_string(limits).ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    // The value may be `unlimited`, which is not a number. Then parsing fails and the result is `None`.
    limit.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Root(tempfile::TempDir);

    impl Root {
        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Creates the files of a PCI device at `address`, bound to `driver` if there is one.
        fn pci(&self, address: &str, id: &str, driver: Option<&str>) {
            let device = format!("sys/devices/{address}");
            self.write(&format!("{device}/vendor"), "0x1022\n");
            self.write(&format!("{device}/device"), &format!("{id}\n"));
            let bus = self.0.path().join("sys/bus/pci/devices");
            fs::create_dir_all(&bus).unwrap();
            symlink(self.0.path().join(&device), bus.join(address)).unwrap();
            if let Some(driver) = driver {
                let directory = self.0.path().join("sys/drivers").join(driver);
                fs::create_dir_all(&directory).unwrap();
                symlink(directory, self.0.path().join(&device).join("driver")).unwrap();
            }
        }

        fn accel(&self, name: &str, address: &str) {
            let entry = self.0.path().join("sys/class/accel").join(name);
            fs::create_dir_all(&entry).unwrap();
            symlink(self.0.path().join("sys/devices").join(address), entry.join("device")).unwrap();
        }
    }

    #[test]
    fn devices_with_the_driver_are_found() {
        let root = Root(tempfile::tempdir().unwrap());
        root.pci("0000:00:01.0", "0x7d1d", Some("intel_vpu"));
        root.accel("accel0", "0000:00:01.0");
        root.pci("0000:c6:00.1", "0x17f0", Some("amdxdna"));
        root.accel("accel1", "0000:c6:00.1");
        root.write("sys/devices/0000:c6:00.1/fw_version", "1.1.2.65\n");
        root.write("sys/devices/0000:c6:00.1/vbnv", "RyzenAI-npu5\n");
        root.write("proc/self/limits", "Max locked memory         8388608              8388608              bytes\n");
        let machine = Machine::at(root.0.path());
        let device = machine.device().unwrap();
        assert_eq!(device.path, root.0.path().join("dev/accel/accel1"));
        assert_eq!((device.target, device.firmware.as_deref()), (Some(Target::Npu4), Some("1.1.2.65")));
        assert_eq!((machine.devices.len(), machine.memory_lock), (1, Some(8 << 20)));
        assert!(matches!(device.open().map(|_| ()), Err(Error::NoDevice)), "there is no such file");
    }

    #[test]
    fn a_missing_device_or_driver_is_reported() {
        let root = Root(tempfile::tempdir().unwrap());
        let machine = Machine::at(root.0.path());
        assert!(!machine.has_npu() && matches!(machine.device(), Err(Error::NoDevice)));
        root.pci("0000:c5:00.1", "0x1502", None);
        let machine = Machine::at(root.0.path());
        assert!(machine.has_npu());
        assert!(machine.device().unwrap_err().to_string().contains("(1022:1502)"));
    }
}
