//! Tests of the client against servers that misbehave.

use super::*;
use crate::ctl::tests::server::{Server, listen};
use std::os::unix::net::UnixListener;

fn socket_of(root: &Path) -> PathBuf {
    root.join("run/proctor/control.sock")
}

/// Connects to a server that sends these bytes and closes.
fn connect_to(bytes: &'static [u8]) -> Result<Client, ClientError> {
    let dir = listen(move |mut stream| {
        stream.write_all(bytes).unwrap();
        let mut theirs = [0; hello::HELLO_LEN];
        stream.read_exact(&mut theirs).unwrap();
    });
    Client::connect(&socket_of(dir.path()))
}

#[test]
fn requests_are_answered_in_turn() {
    let server = Server::start(|request| match request {
        Request::Ps => vec![Response::Runs(Vec::new())],
        _ => vec![Response::Done],
    });
    let mut client = Client::connect(&socket_of(server.root())).unwrap();
    assert_eq!(client.call(&Request::Ps).unwrap(), Response::Runs(Vec::new()));
    assert_eq!(client.call(&Request::Ping).unwrap(), Response::Done);
    assert_eq!(server.requests(), [Request::Ps, Request::Ping]);
}

#[test]
fn nobody_is_told_from_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    assert!(Client::connect(&path).unwrap_err().is_nobody());
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        Client::connect(&path).unwrap_err().is_nobody(),
        "a socket that nobody listens on any more"
    );
    let leaving = connect_to(b"").unwrap_err();
    assert!(
        matches!(leaving, ClientError::Leaving { .. }) && leaving.is_nobody(),
        "{leaving}"
    );
}

#[test]
fn another_protocol_or_version_is_named() {
    let garbage = connect_to(b"220 smtp.example.org ESMTP\r\n").unwrap_err();
    assert!(
        matches!(garbage, ClientError::Hello(HelloError::Magic)),
        "{garbage}"
    );
    assert!(!garbage.is_nobody());
    let newer = connect_to(b"PROCTOR\0\x63\0\0\0").unwrap_err();
    assert_eq!(
        newer.to_string(),
        "cannot talk to the daemon: the peer speaks protocol version 99, this side version 1; use binaries of \
         the same release"
    );
}

#[test]
fn a_daemon_that_says_nothing_is_not_waited_for_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let error = Client::connect_within(&path, Duration::from_millis(50)).unwrap_err();
    assert!(
        matches!(error, ClientError::Silent { .. }) && !error.is_nobody(),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("does not answer: no hello within 0.05 seconds"),
        "{error}"
    );
}

#[test]
fn answers_that_break_off_or_make_no_sense_are_errors() {
    let after = |bytes: &'static [u8]| {
        let dir = listen(move |mut stream| {
            stream.write_all(&Hello::new(CONTROL_MAGIC).to_bytes()).unwrap();
            stream.write_all(bytes).unwrap();
            // Read the request, so that closing does not reset the connection.
            let mut request = [0; hello::HELLO_LEN + 5];
            stream.read_exact(&mut request).unwrap();
        });
        let mut client = Client::connect(&socket_of(dir.path())).unwrap();
        client.call(&Request::Ping).unwrap_err()
    };
    assert!(matches!(after(b""), ClientError::Closed));
    assert!(matches!(after(b"\x05\0\0\0\x00"), ClientError::Closed));
    assert!(matches!(
        after(b"\xff\xff\xff\xff"),
        ClientError::Frame(FrameError::TooLarge { .. })
    ));
    assert!(matches!(after(b"\x01\0\0\0\xee"), ClientError::Decode(_)));
    assert!(matches!(
        after(b"\x02\0\0\0\x05\x05"),
        ClientError::Decode(CodecError::Trailing(1))
    ));
}
