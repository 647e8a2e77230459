//! A client of the control socket, as thin as can be: what is measured is the daemon.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use proctor::model::limits::FRAME_MAX;
use proctor::model::view::RunView;
use proctor::model::{RunRef, Trigger};
use proctor::sys::socket;
use proctor::wire::FrameBuffer;
use proctor::wire::codec;
use proctor::wire::control::{Request, Response, Selector, Submit};
use proctor::wire::hello::{self, CONTROL_MAGIC, Hello};

use crate::Res;

/// No answer takes as long; a daemon that hangs is an error and not an endless benchmark.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    buffer: FrameBuffer,
}

impl Client {
    /// Connects and exchanges the hello.
    pub(crate) fn connect(path: &Path) -> Res<Self> {
        let stream = socket::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self {
            stream,
            buffer: FrameBuffer::new(FRAME_MAX),
        };
        let ours = Hello::new(CONTROL_MAGIC);
        client.stream.write_all(&ours.to_bytes())?;
        while !hello::receive(&mut client.buffer, ours)? {
            client.fill()?;
        }
        Ok(client)
    }

    fn fill(&mut self) -> Res<()> {
        let mut chunk = [0; 16 * 1024];
        let len = self.stream.read(&mut chunk)?;
        if len == 0 {
            return Err("the daemon closed the connection".into());
        }
        self.buffer.push(chunk.get(..len).unwrap_or_default());
        Ok(())
    }

    fn receive(&mut self) -> Res<Response> {
        loop {
            if let Some(payload) = self.buffer.next_frame()? {
                return match codec::decode(&payload)? {
                    Response::Error { message, .. } => Err(message.into()),
                    response => Ok(response),
                };
            }
            self.fill()?;
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn call(&mut self, request: &Request) -> Res<Response> {
        self.stream.write_all(&codec::encode(request, FRAME_MAX)?)?;
        self.receive()
    }

    /// Submits a DAG.
    pub(crate) fn submit(&mut self, source: &str) -> Res<RunRef> {
        let submit = Submit {
            source: source.to_owned(),
            name: None,
            file: "bench.yaml".to_owned(),
            stem: "bench".to_owned(),
            base: None,
            schemas: Vec::new(),
            base_dir: "/".to_owned(),
            default_working_dir: Some("/".to_owned()),
            run_id: None,
            params: None,
            args: Vec::new(),
            trigger: Trigger::Manual,
            queue: None,
            priority: None,
            now: false,
        };
        match self.call(&Request::Submit(Box::new(submit)))? {
            Response::Accepted { run, .. } => Ok(run),
            other => Err(format!("the answer to a submission is {other:?}").into()),
        }
    }

    /// Begins to follow a run. The connection serves nothing else before [`Client::next_change`] says false.
    pub(crate) fn follow(&mut self, run: &RunRef) -> Res<RunView> {
        let selector = Selector {
            dag: run.dag.clone(),
            run: Some(run.id.clone()),
        };
        match self.call(&Request::Follow(selector))? {
            Response::Run(view) => Ok(*view),
            other => Err(format!("the answer to following is {other:?}").into()),
        }
    }

    /// Waits for a change of the followed run; false at its end.
    pub(crate) fn next_change(&mut self, view: &mut RunView) -> Res<bool> {
        match self.receive()? {
            Response::Update(update) => {
                update.apply_to(view);
                Ok(true)
            }
            Response::Done => Ok(false),
            other => Err(format!("among the changes of a run came {other:?}").into()),
        }
    }

    /// Waits until the followed run is as wanted; an error if it ends before.
    pub(crate) fn wait_until(&mut self, view: &mut RunView, wanted: impl Fn(&RunView) -> bool) -> Res<()> {
        while !wanted(view) {
            if !self.next_change(view)? {
                return Err(format!("run {} ended {}: {:?}", view.run, view.status, view.error).into());
            }
        }
        Ok(())
    }

    /// How many runs are queued or live, and how many of these have a running step.
    pub(crate) fn live(&mut self) -> Res<(usize, usize)> {
        match self.call(&Request::Ps)? {
            Response::Runs(runs) => Ok((
                runs.len(),
                runs.iter().filter(|run| run.started_at.is_some()).count(),
            )),
            other => Err(format!("the answer to ps is {other:?}").into()),
        }
    }
}
