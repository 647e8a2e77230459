//! Tests of passing descriptors: how many, truncated, unwanted.

use super::*;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

#[test]
fn bytes_and_descriptors_arrive_together() {
    let (ours, theirs) = socketpair().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    send_with_fds(ours.as_fd(), b"hello", &[reader.as_fd(), ours.as_fd()]).unwrap();
    let mut buffer = [0; 16];
    let (length, mut fds) = recv_with_fds(theirs.as_fd(), &mut buffer, 4).unwrap();
    assert_eq!((&buffer[..length], fds.len()), (&b"hello"[..], 2));
    for fd in &fds {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }
    writer.write_all(b"through").unwrap();
    drop((writer, reader));
    let mut text = String::new();
    File::from(fds.remove(0)).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn too_many_descriptors_are_refused_and_closed() {
    let (ours, theirs) = socketpair().unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    let many = vec![writer.as_fd(); MOST_FDS];
    for allowed in [0, 1, 2, MOST_FDS - 1] {
        send_with_fds(ours.as_fd(), b"x", &many).unwrap();
        let error = recv_with_fds(theirs.as_fd(), &mut [0; 8], allowed).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    send_with_fds(ours.as_fd(), b"x", &many).unwrap();
    assert_eq!(
        recv_with_fds(theirs.as_fd(), &mut [0; 8], MOST_FDS)
            .unwrap()
            .1
            .len(),
        MOST_FDS
    );
    drop(writer);
    // End-of-file comes only when every copy of the writing end is closed.
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    assert!(send_with_fds(ours.as_fd(), b"", &[]).is_err());
}

#[test]
fn end_of_file_and_a_gone_peer_are_told() {
    let (ours, theirs) = socketpair().unwrap();
    drop(ours);
    assert_eq!(recv_with_fds(theirs.as_fd(), &mut [0; 8], 1).unwrap().0, 0);
    let error = send_with_fds(theirs.as_fd(), b"x", &[]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
