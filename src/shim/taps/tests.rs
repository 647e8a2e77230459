//! Nothing waits, nothing is lost, and nothing of a secret gets into a log.

use std::os::unix::fs::OpenOptionsExt;

use super::*;

struct World {
    _temp: tempfile::TempDir,
    logs: Streams,
    paths: [std::path::PathBuf; 2],
    masker: Rc<Masker>,
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let paths = ["out", "err"].map(|name| temp.path().join(name));
        let open = |path: &std::path::PathBuf| {
            let mut options = File::options();
            options.create(true).append(true).read(true).mode(0o600);
            options.open(path).unwrap()
        };
        Self {
            logs: Streams {
                stdout: open(&paths[0]),
                stderr: open(&paths[1]),
            },
            paths,
            masker: Rc::new(Masker::new(["secret"]).unwrap()),
            _temp: temp,
        }
    }

    fn open(&self, merged: bool, capture: Option<u64>) -> Taps {
        Taps::open(Some(&self.masker), &self.logs, merged, capture).unwrap()
    }

    fn log(&self, which: usize) -> String {
        std::fs::read_to_string(&self.paths[which]).unwrap()
    }
}

fn write(mut file: &File, text: &str) {
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn both_streams_are_masked_and_the_captured_one_is_kept_as_it_was() {
    let world = World::new();
    let taps = world.open(false, Some(100));
    let writers = taps.writers().unwrap();
    write(&writers.stdout, "a sec");
    taps.drain();
    write(&writers.stdout, "ret\n");
    write(&writers.stderr, "no secret here");
    drop(writers);
    assert_eq!(taps.close(), Ok(()));
    assert_eq!(world.log(0), "a *******\n");
    assert_eq!(world.log(1), "no ******* here");
    assert_eq!(taps.captured(), Ok(String::from("a secret")));
    assert!(taps.each().all(|tap| tap.pump() == Flow::Over));
}

#[test]
fn what_is_captured_is_bounded_in_memory_too() {
    let world = World::new();
    let taps = world.open(false, Some(10));
    write(&taps.writers().unwrap().stdout, &"x".repeat(5000));
    assert_eq!(taps.close(), Ok(()));
    assert!(matches!(
        &taps.stdout.state.borrow().kept,
        Some(Kept::First { bytes, .. }) if bytes.len() == 10
    ));
    let error = taps.captured().unwrap_err();
    assert!(error.contains("5000 bytes; at most 10"), "{error}");
    assert_eq!(world.log(0).len(), 5000);
}

#[test]
fn a_line_of_the_shims_own_is_masked_and_captured_however_long_it_is() {
    let world = World::new();
    let long = format!("{} secret", "x".repeat(3_000_000));
    let taps = world.open(true, Some(4_000_000));
    taps.say(&long);
    assert_eq!(taps.close(), Ok(()));
    assert!(world.log(0).ends_with("x *******\n"));
    assert_eq!(taps.captured(), Ok(long));
}

#[test]
fn merged_streams_keep_their_order_across_a_secret() {
    let world = World::new();
    let taps = world.open(true, None);
    let writers = taps.writers().unwrap();
    write(&writers.stdout, "1 ");
    write(&writers.stderr, "2 secret ");
    write(&writers.stdout, "3");
    drop(writers);
    assert_eq!(taps.close(), Ok(()));
    assert_eq!(world.log(0), "1 2 ******* 3");
    assert_eq!(taps.each().count(), 1);
}

#[test]
fn a_process_in_the_background_holds_up_nobody_and_is_masked_later() {
    let world = World::new();
    let taps = world.open(false, Some(100));
    let background = taps.writers().unwrap().stdout.try_clone().unwrap();
    write(&background, "early se");
    assert_eq!(taps.close(), Ok(()));
    assert_eq!(taps.captured(), Ok(String::from("early se")));
    // What may be the beginning of a secret is held back, and the rest is there.
    assert_eq!(world.log(0), "early ");
    write(&background, "cret and late");
    assert_eq!(taps.stdout.pump(), Flow::Open);
    assert_eq!(world.log(0), "early ******* and late");
    write(&background, " se");
    taps.stdout.finish();
    assert_eq!(world.log(0), "early ******* and late se");
    write(&background, "cret");
    assert_eq!(taps.stdout.pump(), Flow::Over, "it is not read any more");
    drop(background);
}

#[test]
fn a_writer_that_never_stops_is_read_a_bounded_amount_at_a_time() {
    let world = World::new();
    let taps = world.open(true, None);
    let writer = taps.writers().unwrap().stdout.try_clone().unwrap();
    let capacity = pipe::capacity(&writer).unwrap();
    let thread = std::thread::spawn(move || {
        let piece = [b'x'; 4096];
        let mut written = 0_u64;
        while (&writer).write_all(&piece).is_ok() {
            written += 4096;
        }
        written
    });
    let mut before = 0;
    for _ in 0..20 {
        taps.stdout.drain();
        let length = files::length(&world.logs.stdout);
        assert!(length - before <= capacity, "{before} and then {length}");
        before = length;
    }
    drop(taps);
    assert!(thread.join().unwrap() >= before);
}

#[test]
fn a_log_that_cannot_be_written_fails_the_try() {
    let mut world = World::new();
    world.logs.stdout = File::options().write(true).open("/dev/full").unwrap();
    let taps = world.open(false, None);
    write(&taps.writers().unwrap().stdout, "text");
    let error = taps.close().unwrap_err();
    assert!(error.contains("cannot write the log"), "{error}");
    assert_eq!(taps.close(), Ok(()), "it is told once");
}

#[test]
fn captured_output_of_merged_streams_is_bounded_and_in_the_log_at_once() {
    let world = World::new();
    let taps = Taps::open(None, &world.logs, true, Some(10)).unwrap();
    let writers = taps.writers().unwrap();
    write(&writers.stdout, "secret out\n");
    write(&writers.stderr, "err\n");
    taps.drain();
    assert_eq!(
        (world.log(0), world.log(1)),
        ("secret out\n".into(), "err\n".into())
    );
    let kept = taps.stdout.take_kept();
    assert_eq!(kept, b"secret out");
}

#[test]
fn of_a_command_that_writes_much_a_bounded_part_is_kept() {
    let pipes = Pipes::open(Some(10), 4).unwrap();
    let (stdout, writer) = pipes.stdout.as_ref().unwrap();
    write(writer, "0123456789");
    stdout.drain();
    assert!(!stdout.is_too_much());
    for _ in 0..100 {
        write(writer, "more");
        stdout.drain();
    }
    assert!(stdout.is_too_much());
    assert_eq!(stdout.take_kept(), b"0123456789");
    let (stderr, writer) = &pipes.stderr;
    for (text, kept) in [("ab", "ab"), ("cde", "bcde"), ("0123456789", "6789")] {
        write(writer, text);
        stderr.drain();
        let state = stderr.state.borrow();
        assert!(
            matches!(&state.kept, Some(Kept::Last { bytes, .. }) if bytes.iter().eq(kept.as_bytes())),
            "{state:?}"
        );
    }
    // What is left in the background may go on writing.
    stderr.take_kept();
    write(writer, "text");
    assert_eq!(stderr.pump(), Flow::Open);
    assert_eq!(stderr.take_kept(), b"");
}
