//! From the first instruction to the open gate (DESIGN §4, steps 4 to 6).
//!
//! Until the gate opens nothing of the user's is read, written or run. End-of-file at the gate means that the
//! daemon died or changed its mind: the shim exits, and the attempt was never started.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::conn::{Conn, Peer, send_blocking};
use super::setup;
use crate::dag::Dag;
use crate::model::limits::SPEC_MAX;
use crate::model::view::StepView;
use crate::sys::cgroup::Cgroup;
use crate::sys::files::Dir;
use crate::sys::{reap, signals, socket};
use crate::wire::codec;
use crate::wire::shim::{FromShim, ShimSpec, ToShim};

/// What a shim has when the gate is open.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) spec: ShimSpec,
    pub(super) dag: Dag,
    pub(super) channel: Conn,
    pub(super) entry: File,
    pub(super) journal: File,
    pub(super) listener: OwnedFd,
    pub(super) log_dir: Dir,
    pub(super) steps: Option<Cgroup>,
    /// The attempt's own cgroup, to look at only.
    pub(super) cgroup: Option<Cgroup>,
}

/// Why the shim could not get ready. Told to the daemon if there still is one.
#[derive(Debug)]
pub(super) struct Failure {
    channel: Option<OwnedFd>,
    text: String,
}

impl Failure {
    pub(super) fn report(self) {
        if let Some(channel) = self.channel {
            // With the daemon gone there is nobody to tell; the attempt was never started.
            drop(send_blocking(&channel, &FromShim::Failed(self.text)));
        }
    }
}

fn because(what: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Receives the specification, becomes the job's user, says `ready` and waits for the gate. `None` if the gate
/// is never opened.
pub(super) fn boot() -> Result<Option<Boot>, Failure> {
    let channel = take_channel().map_err(|text| Failure { channel: None, text })?;
    let spare = channel.try_clone().ok();
    prepare(channel).map_err(|text| Failure { channel: spare, text })
}

fn prepare(channel: OwnedFd) -> Result<Option<Boot>, String> {
    let mut channel = Conn::new(channel, SPEC_MAX).map_err(because("the channel"))?;
    let Some(ToShim::Spec(spec)) = next_message(&mut channel)? else {
        return Ok(None);
    };
    let mut spec: ShimSpec =
        serde_json::from_slice(&spec).map_err(|error| format!("the specification: {error}"))?;
    let dag: Dag = serde_json::from_str(&spec.dag).map_err(|error| format!("the DAG: {error}"))?;

    spec.view.steps = dag.steps.iter().map(|step| StepView::new(&step.name)).collect();
    spec.view.handlers = dag
        .handlers
        .iter()
        .map(|(handler, step)| (*handler, StepView::new(&step.name)))
        .collect();

    let mut fds = channel.take_fds().into_iter();
    let mut take = |what: &str| fds.next().ok_or_else(|| format!("no descriptor for the {what}"));
    let entry = File::from(take("proc entry")?);
    let journal = File::from(take("journal")?);
    let listener = take("status socket")?;
    let log_dir = Dir::from_owned(take("log directory")?).map_err(because("the log directory"))?;
    let mut cgroup = |given: bool, what: &str| {
        if !given {
            return Ok(None);
        }
        let opened = Cgroup::from_owned(take(what)?);
        opened.map(Some).map_err(|error| format!("the {what}: {error}"))
    };
    let steps = cgroup(spec.descriptors.steps_cgroup, "steps' cgroup")?;
    let cgroup = cgroup(spec.descriptors.attempt_cgroup, "attempt's cgroup")?;

    setup::become_job_user(&spec)?;
    channel
        .send(&FromShim::Ready)
        .map_err(because("telling the daemon"))?;
    match next_message(&mut channel)? {
        Some(ToShim::Go) => {}
        _ => return Ok(None),
    }
    Ok(Some(Boot {
        spec,
        dag,
        channel,
        entry,
        journal,
        listener,
        log_dir,
        steps,
        cgroup,
    }))
}

/// Moves the channel away from descriptor 0 and puts null devices on the standard descriptors, so that nothing
/// the job gets can be the channel.
fn take_channel() -> Result<OwnedFd, String> {
    let channel = crate::sys::stdio::take_stdin().map_err(because("descriptor 0 is not the channel"))?;
    signals::reset().map_err(because("resetting signals"))?;
    reap::become_subreaper().map_err(because("becoming the subreaper"))?;
    Ok(channel)
}

/// Waits for the daemon's next message; `None` when it is gone.
fn next_message(channel: &mut Conn) -> Result<Option<ToShim>, String> {
    socket::set_nonblocking(channel.fd(), false).map_err(because("the channel"))?;
    loop {
        if let Some(frame) = channel.next_frame().map_err(because("the daemon's message"))? {
            socket::set_nonblocking(channel.fd(), true).map_err(because("the channel"))?;
            return codec::decode(&frame)
                .map(Some)
                .map_err(|error| format!("the daemon's message: {error}"));
        }
        if channel.read_once().map_err(because("reading from the daemon"))? == Peer::Closed {
            return Ok(None);
        }
    }
}
