//! Tests of sockets: modes, peers, who may remove which.

use super::*;
use crate::sys::testing::eventually;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn t03_a_socket_has_the_wanted_mode_whatever_the_umask_is() {
    let temp = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o660, 0o666] {
        let path = temp.path().join(format!("{mode:o}.sock"));
        listen(&path, mode).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_path_longer_than_an_address_works_for_both_ends() {
    let temp = tempfile::tempdir().unwrap();
    let deep = temp.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("attempt.sock");
    assert!(path.as_os_str().len() > 200);
    let listener = listen(&path, 0o600).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(accept(listener.as_fd()).unwrap().is_none(), "nobody waits");
    let mut client = connect(&path).unwrap();
    let server = accept(listener.as_fd()).unwrap().unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!(UnixStream::from(server).read(&mut [0; 2]).unwrap(), 1);
}

#[test]
fn the_file_has_the_permissions_that_were_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    // With any usual umask the first of these loses bits.
    for (name, mode) in [("a", 0o666), ("b", 0o600), ("c", 0o660)] {
        let path = temp.path().join(name);
        let _listener = listen(&path, mode).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn knows_the_peer() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s");
    let listener = listen(&path, 0o666).unwrap();
    let _client = connect(&path).unwrap();
    let server = accept(listener.as_fd()).unwrap().unwrap();
    let own = super::super::creds::User::current().unwrap();
    let peer = peer_cred(&server).unwrap();
    assert_eq!(
        (peer.pid, peer.uid, peer.gid),
        (std::process::id(), own.uid, own.gid)
    );
    let mut groups: Vec<u32> = nix::unistd::getgroups()
        .unwrap()
        .iter()
        .map(|gid| gid.as_raw())
        .collect();
    let mut seen = peer_groups(&server).unwrap();
    groups.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, groups);
    if let Some(process) = peer_pidfd(&server) {
        assert_eq!(process.info().unwrap().pid, Some(std::process::id()));
    }
}

#[test]
fn takes_no_name_that_exists_and_removes_only_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s");
    let first = listen(&path, 0o600).unwrap();
    assert_eq!(listen(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let meta = path.symlink_metadata().unwrap();
    drop(first);
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    assert!(eventually(|| connect(&path).is_err_and(refused)));
    assert!(!unlink_socket_if_same(&path, meta.dev(), meta.ino() + 1).unwrap());
    assert!(unlink_socket_if_same(&path, meta.dev(), meta.ino()).unwrap());
    assert!(!unlink_socket_if_same(&path, meta.dev(), meta.ino()).unwrap());
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(listen(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert!(!temp.path().join("elsewhere").exists());
    assert!(listen(Path::new(""), 0o600).is_err());
}

#[test]
fn adopts_a_listener_and_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s");
    let listener = listen(&path, 0o600).unwrap();
    use std::os::fd::IntoRawFd;
    let number = listener.into_raw_fd();
    let adopted = as_listener(take_inherited(number).unwrap()).unwrap();
    let _client = connect(&path).unwrap();
    assert!(accept(adopted.as_fd()).unwrap().is_some());
    let (pair, _) = super::super::fdpass::socketpair().unwrap();
    assert!(as_listener(pair).is_err());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(as_listener(file.into()).is_err());
    assert!(take_inherited(i32::MAX).is_err());
}
