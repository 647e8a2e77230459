//! Talking to the sockets without the client: lines of JSON to the daemon, frames to a shim, bytes to both.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use proctor::model::limits::FRAME_MAX;
use proctor::wire::codec::{self, FrameBuffer};
use proctor::wire::hello::{HELLO_LEN, Hello, STATUS_MAGIC};
use proctor::wire::shim::{StatusRequest, StatusResponse};
use serde_json::{Value, json};

use super::DEADLINE;

/// A connection to the control socket that speaks lines of JSON.
pub(crate) struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    pub(crate) fn connect(path: &Path) -> Self {
        Self::try_connect(path).unwrap()
    }

    /// None if nobody listens.
    pub(crate) fn try_connect(path: &Path) -> Option<Self> {
        UnixStream::connect(path).ok().map(Self::over)
    }

    /// Over this connection.
    pub(crate) fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends a request; an error if the daemon is gone.
    pub(crate) fn send(&mut self, request: &Value) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes())
    }

    /// The next answer; none when the connection is closed.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Value>> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(serde_json::from_str(&line).unwrap())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One request, one answer.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.send(request).unwrap();
        self.receive().unwrap().expect("the daemon closed the connection")
    }

    /// Submits a DAG under a run id. An error if the daemon went meanwhile: then nobody knows.
    pub(crate) fn submit(&mut self, name: &str, id: &str, source: &str) -> io::Result<Value> {
        self.send(&json!({"submit": {"source": source, "stem": name, "run_id": id}}))?;
        self.receive()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A connection to an attempt's status socket.
pub(crate) struct Status {
    stream: UnixStream,
    buffer: FrameBuffer,
}

impl Status {
    /// Connects and exchanges hellos.
    pub(crate) fn connect(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).unwrap())
    }

    /// Exchanges hellos over this connection.
    pub(crate) fn over(mut stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let ours = Hello::new(STATUS_MAGIC);
        stream.write_all(&ours.to_bytes()).unwrap();
        let mut theirs = [0; HELLO_LEN];
        stream.read_exact(&mut theirs).unwrap();
        Hello::from_bytes(theirs).accept(ours).unwrap();
        Self {
            stream,
            buffer: FrameBuffer::new(FRAME_MAX),
        }
    }

    /// One request, one answer.
    pub(crate) fn ask(&mut self, request: &StatusRequest) -> StatusResponse {
        let frame = codec::encode(request, FRAME_MAX).unwrap();
        self.stream.write_all(&frame).unwrap();
        loop {
            if let Some(frame) = self.buffer.next_frame().unwrap() {
                return codec::decode(&frame).unwrap();
            }
            let mut bytes = [0; 4096];
            let n = self.stream.read(&mut bytes).unwrap();
            assert!(n > 0, "the shim closed the connection");
            self.buffer.push(bytes.get(..n).unwrap());
        }
    }
}
