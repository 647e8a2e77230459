//! Where the v2 hierarchy is mounted, and where in it a process is.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Type number of cgroup2 file systems (`linux/magic.h`).
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Why cgroups cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no cgroup tree to use: {reason}")]
pub struct CgroupUnavailable {
    /// The reason, for people.
    pub reason: String,
}

/// Refuses a directory that is not of a cgroup2 file system.
pub(super) fn check_kind(dir: impl AsFd) -> io::Result<()> {
    let kind = nix::sys::statfs::fstatfs(dir)?.filesystem_type();
    #[expect(
        clippy::useless_conversion,
        reason = "the C type differs between architectures"
    )]
    if i64::from(kind.0) == CGROUP2_MAGIC {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "not in a cgroup v2 file system",
    ))
}

/// The directory of the cgroup this process is in, in the first cgroup2 mount that shows it.
///
/// # Errors
/// [`CgroupUnavailable`] when there is no such mount or it does not show this cgroup.
pub fn own_path() -> Result<PathBuf, CgroupUnavailable> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|error| CgroupUnavailable {
            reason: format!("cannot read {path}: {error}"),
        })
    };
    let mounts = mounts(&read("/proc/self/mountinfo")?);
    if mounts.is_empty() {
        return Err(CgroupUnavailable {
            reason: "no cgroup v2 file system is mounted".to_owned(),
        });
    }
    let own = v2_path(&read("/proc/self/cgroup")?).ok_or_else(|| CgroupUnavailable {
        reason: "this process is in no v2 cgroup".to_owned(),
    })?;
    mounts
        .iter()
        .find_map(|mount| mount.place(&own))
        .ok_or_else(|| CgroupUnavailable {
            reason: format!("no mount shows this process' cgroup {}", own.display()),
        })
}

/// The id of the v2 cgroup of process `pid`, by `/proc/<pid>/cgroup`. The caller checks before and after
/// that the number still means the same process.
#[must_use]
pub fn id_of_process(pid: u32) -> Option<u64> {
    std::fs::metadata(path_of_process(pid)?)
        .ok()
        .map(|meta| meta.ino())
}

/// Where the v2 cgroup of process `pid` is seen. The same caution holds.
pub(super) fn path_of_process(pid: u32) -> Option<PathBuf> {
    let path = v2_path(&std::fs::read(format!("/proc/{pid}/cgroup")).ok()?)?;
    mounted().iter().find_map(|mount| mount.place(&path))
}

/// Where an open directory is seen; `None` if it was removed.
pub(super) fn path_of_descriptor(dir: impl AsFd) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd())).ok()?;
    path.is_dir().then_some(path)
}

fn mounted() -> Vec<Mount> {
    std::fs::read("/proc/self/mountinfo").map_or_else(|_| Vec::new(), |text| mounts(&text))
}

/// Where the v2 file system is mounted, whatever part of it.
pub(super) fn mount_points() -> Vec<PathBuf> {
    mounted().into_iter().map(|mount| mount.point).collect()
}

/// Whether this machine has the old way of counting refused forks: where they were tried, whatever limit it was. The option
/// is the whole file system's, so any mount of it tells.
pub(super) fn counts_forks_locally() -> bool {
    std::fs::read("/proc/self/mountinfo").is_ok_and(|text| has_option(&text, b"pids_localevents"))
}

fn has_option(mountinfo: &[u8], option: &[u8]) -> bool {
    let of_line = |line: &[u8]| {
        let mut fields = line
            .split(|byte| *byte == b' ')
            .skip_while(|field| *field != b"-")
            .skip(1);
        fields.next() == Some(b"cgroup2")
            && fields
                .nth(1)
                .is_some_and(|options| options.split(|byte| *byte == b',').any(|word| word == option))
    };
    mountinfo.split(|byte| *byte == b'\n').any(of_line)
}

/// A cgroup2 mount: which cgroup is seen where.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    fn place(&self, cgroup: &Path) -> Option<PathBuf> {
        let below = cgroup.strip_prefix(&self.root).ok()?;
        // A cgroup outside of this namespace shows as a path with `..`, which no mount holds.
        let plain = below
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        plain.then(|| {
            if below.as_os_str().is_empty() {
                self.point.clone()
            } else {
                self.point.join(below)
            }
        })
    }
}

/// The cgroup2 mounts in the text of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
fn mounts(text: &[u8]) -> Vec<Mount> {
    let line_of = |line: &[u8]| -> Option<Mount> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        if *fields.get(dash + 1)? != b"cgroup2" {
            return None;
        }
        Some(Mount {
            root: unescape(fields.get(3)?),
            point: unescape(fields.get(4)?),
        })
    };
    text.split(|byte| *byte == b'\n').filter_map(line_of).collect()
}

/// Undoes the `\040` escapes of mountinfo.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|octal| std::str::from_utf8(octal).ok());
        let code = digits.and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code {
            Some(code) if *first == b'\\' => {
                bytes.push(code);
                rest = tail.get(3..).unwrap_or(&[]);
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The path of the `0::` line of `/proc/<pid>/cgroup`.
fn v2_path(text: &[u8]) -> Option<PathBuf> {
    let line = text
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))?;
    Some(PathBuf::from(OsString::from_vec(line.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn finds_the_v2_mount_of_a_hybrid_system() {
        let found = mounts(HYBRID);
        assert_eq!(
            found,
            [Mount {
                root: "/".into(),
                point: "/sys/fs/cgroup/unified".into()
            }]
        );
        assert_eq!(
            found[0].place(Path::new("/a/b")),
            Some("/sys/fs/cgroup/unified/a/b".into())
        );
    }

    #[test]
    fn reads_optional_fields_escapes_and_bind_mounts() {
        let text = b"41 31 0:38 /a /mnt/with\\040space rw shared:5 master:1 - cgroup2 none rw\n";
        let found = mounts(text);
        assert_eq!(found[0].point, Path::new("/mnt/with space"));
        assert_eq!(
            found[0].place(Path::new("/a/b")),
            Some("/mnt/with space/b".into())
        );
        assert_eq!(found[0].place(Path::new("/c")), None);
    }

    #[test]
    fn sees_options_of_the_v2_file_system_only() {
        let text = b"1 1 0:1 / /x rw - cgroup cgroup rw,pids_localevents\n2 1 0:2 / /y rw shared:1 - cgroup2 none rw,nsdelegate\n";
        assert!(!has_option(text, b"pids_localevents"));
        assert!(has_option(text, b"nsdelegate"));
        assert!(!has_option(text, b"ns"));
    }

    #[test]
    fn a_cgroup_outside_the_namespace_has_no_place() {
        assert_eq!(mounts(HYBRID)[0].place(Path::new("/../x")), None);
    }

    #[test]
    fn takes_only_the_v2_line() {
        assert_eq!(v2_path(b"4:memory:/m\n0::/x/y\n"), Some("/x/y".into()));
        assert_eq!(v2_path(b"4:memory:/m\n"), None);
    }
}
