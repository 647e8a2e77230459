//! Tests of frames and messages: round trips, garbage, limits.

use super::*;
use crate::model::limits::FRAME_MAX;
use crate::wire::control::{Request, Response};
use crate::wire::shim::{FromShim, StatusRequest, StatusResponse, ToShim};
use proptest::prelude::*;

mod golden;

const MAX: usize = 1024;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_message_comes_back_from_its_frame() {
    let frame = encode(&Request::Doctor { repair: true }, MAX).unwrap();
    let mut buffer = FrameBuffer::new(MAX);
    buffer.push(&frame);
    let payload = buffer.next_frame().unwrap().unwrap();
    assert_eq!(decode::<Request>(&payload), Ok(Request::Doctor { repair: true }));
    assert!(buffer.is_empty());
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let frame = framed(b"hello");
    let mut buffer = FrameBuffer::new(5);
    for byte in &frame[..frame.len() - 1] {
        buffer.push(&[*byte]);
        assert_eq!(buffer.next_frame(), Ok(None));
        assert!(
            !buffer.is_empty(),
            "a broken connection must be told from a finished one"
        );
    }
    buffer.push(&frame[frame.len() - 1..]);
    assert_eq!(buffer.next_frame(), Ok(Some(b"hello".to_vec())));
}

#[test]
fn a_frame_over_the_limit_is_refused_at_its_header() {
    for claimed in [6, MAX + 1, 1 << 31, u32::MAX as usize] {
        let mut buffer = FrameBuffer::new(5);
        buffer.push(&u32::try_from(claimed).unwrap().to_le_bytes());
        assert_eq!(
            buffer.next_frame(),
            Err(FrameError::TooLarge { len: claimed, max: 5 })
        );
        assert!(buffer.bytes.capacity() <= 64, "nothing is reserved for a claim");
    }
}

#[test]
fn the_buffer_gives_room_back_when_it_is_empty() {
    let mut buffer = FrameBuffer::new(FRAME_MAX);
    buffer.push(&framed(&vec![0; 1_000_000]));
    assert_eq!(buffer.next_frame().unwrap().unwrap().len(), 1_000_000);
    assert!(buffer.bytes.capacity() <= KEEP);
}

#[test]
fn lines_end_with_a_line_feed_and_have_a_limit() {
    let mut buffer = FrameBuffer::new(5);
    buffer.push(b"ab");
    assert_eq!(buffer.next_line(), Ok(None));
    buffer.push(b"c\n\n12345");
    assert_eq!(buffer.next_line(), Ok(Some(b"abc".to_vec())));
    assert_eq!(buffer.next_line(), Ok(Some(Vec::new())));
    assert_eq!(buffer.next_line(), Ok(None));
    buffer.push(b"6");
    assert_eq!(buffer.next_line(), Err(FrameError::LineTooLong { max: 5 }));
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let message = StatusResponse::Error {
        kind: crate::wire::control::ErrorKind::Internal,
        message: "x".repeat(100),
    };
    assert_eq!(
        encode(&message, 50),
        Err(CodecError::TooLarge { len: 103, max: 50 })
    );
    assert!(encode(&message, 103).is_ok());
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut payload = encode(&Request::Ping, MAX).unwrap().split_off(HEADER);
    payload.push(0);
    assert_eq!(decode::<Request>(&payload), Err(CodecError::Trailing(1)));
    assert!(decode::<Request>(&[]).is_err());
}

/// Each is a text or list that claims to be longer than any memory. Decoded without a limit, the first would end
/// the process ("memory allocation of 70368744177664 bytes failed").
#[test]
fn claimed_lengths_reserve_nothing() {
    for length in [1_u64 << 20, 1 << 32, 1 << 46, u64::MAX] {
        let mut claim = vec![253];
        claim.extend_from_slice(&length.to_le_bytes());
        // Submit.source; Follow.dag; Attempts and Runs, lists of structs; ToShim::Spec, a list of bytes.
        let tagged = |tag: u8| [&[tag], claim.as_slice()].concat();
        assert!(decode::<Request>(&tagged(1)).is_err());
        assert!(decode::<Request>(&tagged(2)).is_err());
        assert!(decode::<Response>(&tagged(2)).is_err());
        assert!(decode::<Response>(&tagged(6)).is_err());
        assert!(decode::<ToShim>(&tagged(0)).is_err());
        // The same at the end of a message that is long itself.
        let long = [vec![1, 252, 0, 0, 4, 0], vec![b' '; 4 << 16], claim.clone()].concat();
        assert!(decode::<Request>(&long).is_err());
    }
}

#[test]
fn a_long_list_of_integers_is_within_the_limit() {
    let findings = vec![("c".to_owned(), u64::MAX); 3000];
    let report = Response::Doctor(crate::wire::control::DoctorReport {
        findings: Vec::new(),
        features: Vec::new(),
        counters: findings,
        actions: Vec::new(),
    });
    let frame = encode(&report, FRAME_MAX).unwrap();
    assert_eq!(decode::<Response>(&frame[HEADER..]), Ok(report));
    // Small integers are counted at full width while they take one byte each.
    let small = Response::Reloaded(vec![String::new(); 30_000]);
    let frame = encode(&small, FRAME_MAX).unwrap();
    assert_eq!(decode::<Response>(&frame[HEADER..]), Ok(small));
}

proptest! {
    #[test]
    fn t09_garbage_is_judged_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        // Whether random bytes are a message is up to them; what counts is that every answer is an answer.
        let request = decode::<Request>(&bytes);
        if let Ok(request) = &request {
            let again = encode(request, FRAME_MAX).unwrap();
            prop_assert_eq!(decode::<Request>(&again[HEADER..]).unwrap(), request.clone());
        }
        let results = [
            decode::<Response>(&bytes).is_ok(),
            decode::<ToShim>(&bytes).is_ok(),
            decode::<FromShim>(&bytes).is_ok(),
            decode::<StatusRequest>(&bytes).is_ok(),
            decode::<StatusResponse>(&bytes).is_ok(),
        ];
        prop_assert!(!bytes.is_empty() || results == [false; 5]);
    }

    #[test]
    fn a_damaged_message_is_an_error_or_another_message(
        at in 0..1000_usize, to in any::<u8>(), cut in 0..1000_usize
    ) {
        let whole = encode(&golden::a_run(), FRAME_MAX).unwrap().split_off(HEADER);
        let cut = cut % whole.len();
        prop_assert!(decode::<Response>(&whole[..cut]).is_err(), "a cut message was taken for a whole one");
        let mut changed = whole.clone();
        let at = at % changed.len();
        changed[at] = to;
        if changed != whole {
            prop_assert_ne!(decode::<Response>(&changed), Ok(golden::a_run()));
        }
    }

    #[test]
    fn however_a_stream_is_cut_the_frames_are_the_same(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        pieces in prop::collection::vec(1..20_usize, 1..20),
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|p| framed(p)).collect();
        let mut buffer = FrameBuffer::new(40);
        let mut out = Vec::new();
        let mut rest = stream.as_slice();
        for len in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*len).min(rest.len()));
            rest = tail;
            buffer.push(piece);
            while let Some(frame) = buffer.next_frame().unwrap() {
                out.push(frame);
            }
            prop_assert!(buffer.pending().len() <= HEADER + 40);
        }
        prop_assert_eq!(out, payloads);
        prop_assert!(buffer.is_empty());
    }
}
