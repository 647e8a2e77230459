//! The socket with metrics: who connects gets the page and is closed. Who sends an HTTP request first, as a collector
//! does, gets an answer of HTTP/1.0.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;

use crate::config::Config;
use crate::daemon::clients::Limits;
use crate::daemon::dispatcher::{Dispatcher, Msg};
use crate::daemon::requests::program_of;
use crate::model::access::Peer;
use crate::sys::creds;
use crate::sys::files::Dir;
use crate::sys::pidfd::PidFd;
use crate::sys::socket::{self, PeerCred};
use crate::telemetry::events;
use crate::telemetry::metrics::CONTENT_TYPE;
use crate::wire::access::Verb;

/// Its name in the runtime directory.
const NAME: &str = "metrics.sock";
/// Readers that are served at a time; further ones wait.
const READERS: usize = 16;
/// How long somebody may take to say that it speaks HTTP. Others need not say anything.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Longest request, in bytes.
const REQUEST_MAX: usize = 8 * 1024;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The socket's file, which goes with the daemon.
#[derive(Debug)]
pub(in crate::daemon) struct Socket {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some((device, inode)) = self.identity {
            // Only if it is still this daemon's.
            drop(socket::unlink_socket_if_same(&self.path, device, inode));
        }
    }
}

/// Listens, if the configuration says so. Only the holder of the daemon's lock comes so far, so a socket that is there is a
/// dead daemon's.
pub(in crate::daemon) fn open(
    config: &Config,
    to_self: UnboundedSender<Msg>,
    limits: watch::Receiver<Limits>,
) -> io::Result<Option<Socket>> {
    let dir = Dir::open(&config.paths.runtime)?;
    match dir.remove_file(NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if !config.metrics.socket {
        return Ok(None);
    }
    let path = config.paths.runtime.join(NAME);
    let listener = UnixListener::from(socket::listen(&path, config.metrics.socket_mode)?);
    let listener = tokio::net::UnixListener::from_std(listener)?;
    tokio::spawn(serve(listener, to_self, limits));
    let identity = dir.inode_of(NAME)?;
    Ok(Some(Socket { path, identity }))
}

async fn serve(
    listener: tokio::net::UnixListener,
    to_self: UnboundedSender<Msg>,
    limits: watch::Receiver<Limits>,
) {
    let room = Arc::new(Semaphore::new(READERS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a reader of metrics could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(cred) = socket::peer_cred(stream.as_fd()) else {
            continue;
        };
        let limits = *limits.borrow();
        if !may_read(&limits, cred, &stream) {
            deny(stream, cred, &to_self);
            continue;
        }
        // It is only closed with the daemon.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let to_self = to_self.clone();
        tokio::spawn(async move {
            // Somebody who leaves before the end is nothing to report.
            drop(reader(stream, &to_self, limits.patience).await);
            drop(place);
        });
    }
}

/// Root, the daemon's own user, the admin group, and the group that the configuration names.
fn may_read(limits: &Limits, cred: PeerCred, stream: &UnixStream) -> bool {
    if cred.uid == 0 || cred.uid == creds::effective_uid() {
        return true;
    }
    let groups = socket::peer_groups(stream.as_fd()).unwrap_or_default();
    let mut named = limits.admin_gid.into_iter().chain(limits.metrics_gid);
    named.any(|gid| cred.gid == gid || groups.contains(&gid))
}

/// Refuses a reader, and waits for nothing of it: nobody without permission keeps others waiting.
fn deny(stream: UnixStream, cred: PeerCred, to_self: &UnboundedSender<Msg>) {
    use std::io::{Read, Write};
    let process = socket::peer_pidfd(stream.as_fd());
    let Ok(mut stream) = stream.into_std() else {
        return;
    };
    let mut begun = [0; 8];
    let count = stream.read(&mut begun).unwrap_or(0);
    let text = format!("# user id {} may not {}\n", cred.uid, Verb::Metrics.words());
    let answer = match Asked::of(begun.get(..count).unwrap_or_default()) {
        Asked::Nothing => text,
        Asked::Page | Asked::Head | Asked::Other => answer("403 Forbidden", &text, true),
    };
    // It never blocks, and so little always fits.
    drop(stream.write_all(answer.as_bytes()));
    let peer = Peer {
        pid: cred.pid,
        uid: cred.uid,
        gid: cred.gid,
    };
    let denied = move |dispatcher: &mut Dispatcher| dispatcher.deny_metrics(peer, process.as_ref());
    drop(to_self.send(Msg::Then(Box::new(denied))));
}

/// What a reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It speaks no HTTP.
    Nothing,
    Page,
    /// The header of the answer alone.
    Head,
    /// Something that is not to be had.
    Other,
}

impl Asked {
    /// From the first bytes.
    fn of(begun: &[u8]) -> Self {
        let method = begun.split(|byte| *byte == b' ').next().unwrap_or_default();
        let is_word = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
        match method {
            _ if method.len() == begun.len() => Self::Nothing,
            b"GET" => Self::Page,
            b"HEAD" => Self::Head,
            _ if is_word => Self::Other,
            _ => Self::Nothing,
        }
    }
}

async fn reader(
    mut stream: UnixStream,
    to_self: &UnboundedSender<Msg>,
    patience: Duration,
) -> io::Result<()> {
    let mut begun = Vec::new();
    // Whoever is silent, or has closed its side, gets the plain page.
    drop(
        timeout(
            FIRST_WORD,
            fill(&mut stream, &mut begun, |bytes| bytes.len() >= 8),
        )
        .await,
    );
    let asked = Asked::of(&begun);
    if asked != Asked::Nothing {
        // What is left unread would break the connection when it is closed.
        timeout(patience, fill(&mut stream, &mut begun, is_whole)).await??;
    }
    let answer = match asked {
        Asked::Other => answer("405 Method Not Allowed", "only GET and HEAD\n", true),
        Asked::Nothing | Asked::Page | Asked::Head => {
            let Some(page) = page(to_self).await else {
                return Ok(());
            };
            match asked {
                Asked::Nothing => page,
                _ => answer("200 OK", &page, asked == Asked::Page),
            }
        }
    };
    timeout(patience, stream.write_all(answer.as_bytes())).await??;
    stream.shutdown().await
}

/// Whether a request is complete up to its empty line; a body is not read.
fn is_whole(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n") || request.windows(2).any(|end| end == b"\n\n")
}

/// Reads until there is enough, the other side closes, or there is too much.
async fn fill(
    stream: &mut UnixStream,
    bytes: &mut Vec<u8>,
    enough: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let mut piece = [0; 1024];
    while !enough(bytes) && bytes.len() < REQUEST_MAX {
        match stream.read(&mut piece).await? {
            0 => break,
            count => bytes.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    Ok(())
}

/// Asks the dispatcher for a page. None if it leaves.
async fn page(to_self: &UnboundedSender<Msg>) -> Option<String> {
    let (give, page) = oneshot::channel();
    let ask = move |dispatcher: &mut Dispatcher| {
        // With the reader gone nobody wants it.
        dispatcher.with_metrics(move |_, text| drop(give.send(text)));
    };
    to_self.send(Msg::Then(Box::new(ask))).ok()?;
    page.await.ok()
}

fn answer(status: &str, body: &str, whole: bool) -> String {
    let length = body.len();
    let body = if whole { body } else { "" };
    format!(
        "HTTP/1.0 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

impl Dispatcher {
    /// Somebody may not read metrics.
    fn deny_metrics(&mut self, peer: Peer, process: Option<&PidFd>) {
        self.counters.denied += 1;
        let verb = Verb::Metrics;
        events::request_denied(peer, &program_of(process), verb.as_str(), verb.words());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_told_from_the_first_bytes() {
        for (begun, asked) in [
            ("", Asked::Nothing),
            ("GET", Asked::Nothing),
            ("GET /metr", Asked::Page),
            ("HEAD / H", Asked::Head),
            ("POST / H", Asked::Other),
            ("OPTIONS ", Asked::Other),
            ("get / HT", Asked::Nothing),
            (" GET / H", Asked::Nothing),
            ("{\"ping\":", Asked::Nothing),
        ] {
            assert_eq!(Asked::of(begun.as_bytes()), asked, "{begun:?}");
        }
    }

    #[test]
    fn a_request_ends_with_an_empty_line() {
        assert!(is_whole(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(is_whole(b"GET / HTTP/1.0\n\n"));
        assert!(!is_whole(b"GET / HTTP/1.1\r\nHost: x\r\n"));
    }

    #[test]
    fn an_answer_tells_its_length() {
        let whole = answer("200 OK", "a 1\n", true);
        assert!(
            whole.starts_with("HTTP/1.0 200 OK\r\n") && whole.ends_with("\r\n\r\na 1\n"),
            "{whole}"
        );
        let head = answer("200 OK", "a 1\n", false);
        assert!(
            head.contains("Content-Length: 4\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
    }
}
