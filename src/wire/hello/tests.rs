//! Tests of the greeting: versions, magics, pieces.

use super::*;

fn ours() -> Hello {
    Hello::new(CONTROL_MAGIC)
}

fn opened(bytes: &[u8]) -> Result<Option<Opening>, HelloError> {
    let mut buffer = FrameBuffer::new(100);
    buffer.push(bytes);
    open(&mut buffer, ours())
}

#[test]
fn the_bytes_are_these() {
    assert_eq!(&ours().to_bytes(), b"PROCTOR\0\x01\0\0\0");
    assert_eq!(Hello::from_bytes(ours().to_bytes()), ours());
}

#[test]
fn a_hello_opens_frames_and_leaves_what_follows() {
    let mut buffer = FrameBuffer::new(100);
    buffer.push(&ours().to_bytes());
    buffer.push(b"\x01\0\0\0x");
    assert_eq!(open(&mut buffer, ours()), Ok(Some(Opening::Frames)));
    assert_eq!(buffer.next_frame(), Ok(Some(b"x".to_vec())));
}

#[test]
fn a_brace_opens_json_and_is_not_taken() {
    let mut buffer = FrameBuffer::new(100);
    buffer.push(b"{\"ping\":{}}\n");
    assert_eq!(open(&mut buffer, ours()), Ok(Some(Opening::Json)));
    assert_eq!(buffer.next_line(), Ok(Some(b"{\"ping\":{}}".to_vec())));
}

#[test]
fn every_proper_prefix_waits_for_more() {
    let bytes = ours().to_bytes();
    for len in 0..bytes.len() {
        assert_eq!(opened(&bytes[..len]), Ok(None), "{len}");
    }
}

#[test]
fn another_protocol_is_noticed_at_its_first_byte() {
    assert_eq!(opened(b"G"), Err(HelloError::Magic));
    assert_eq!(opened(b"GET / HTTP/1.1\r\n"), Err(HelloError::Magic));
    assert_eq!(
        opened(&Hello::new(STATUS_MAGIC).to_bytes()),
        Err(HelloError::Magic)
    );
}

#[test]
fn another_version_is_named() {
    let theirs = Hello {
        version: 0x0403_0201,
        ..ours()
    };
    let error = opened(&theirs.to_bytes()).unwrap_err();
    assert_eq!(
        error,
        HelloError::Version {
            theirs: 0x0403_0201,
            ours: PROTOCOL_VERSION
        }
    );
}
