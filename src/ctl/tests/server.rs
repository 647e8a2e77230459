//! A server for tests: says hello, records requests, answers as it is told.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::model::limits::FRAME_MAX;
use crate::wire::control::{Request, Response};
use crate::wire::hello::{self, CONTROL_MAGIC, Hello, Opening};
use crate::wire::{FrameBuffer, codec};

pub(in crate::ctl) struct Server {
    dir: tempfile::TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// Listens in a temporary root and gives every connection to `with`, each on its own thread.
pub(in crate::ctl) fn listen(with: impl Fn(UnixStream) + Send + Sync + 'static) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run/proctor");
    std::fs::create_dir_all(&run).unwrap();
    let listener = UnixListener::bind(run.join("control.sock")).unwrap();
    let with = Arc::new(with);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let with = Arc::clone(&with);
            std::thread::spawn(move || with(stream.unwrap()));
        }
    });
    dir
}

impl Server {
    pub(in crate::ctl) fn start(answer: impl Fn(Request) -> Vec<Response> + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&requests);
        let dir = listen(move |stream| serve(stream, &record, &answer));
        Self { dir, requests }
    }

    pub(in crate::ctl) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(in crate::ctl) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Says hello, records the requests and answers them, until the client leaves.
pub(in crate::ctl) fn serve(
    mut stream: UnixStream,
    record: &Mutex<Vec<Request>>,
    answer: &impl Fn(Request) -> Vec<Response>,
) {
    let ours = Hello::new(CONTROL_MAGIC);
    let mut buffer = FrameBuffer::new(FRAME_MAX);
    let mut chunk = [0; 4096];
    let mut open = false;
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        buffer.push(&chunk[..len]);
        if !open {
            let Some(opening) = hello::open(&mut buffer, ours).unwrap() else {
                continue;
            };
            assert_eq!(opening, Opening::Frames);
            stream.write_all(&ours.to_bytes()).unwrap();
            open = true;
        }
        while let Some(payload) = buffer.next_frame().unwrap() {
            let request: Request = codec::decode(&payload).unwrap();
            record.lock().unwrap().push(request.clone());
            let answers = answer(request);
            if answers.is_empty() {
                // The daemon goes away instead of answering.
                return;
            }
            for response in answers {
                let frame = codec::encode(&response, FRAME_MAX).unwrap();
                if stream.write_all(&frame).is_err() {
                    return;
                }
            }
        }
    }
}
