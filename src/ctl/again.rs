//! Finding the daemon again: it may be restarted while its attempts go on.

use super::client::ClientError;
use super::failure::Failure;
use super::interrupts::Interrupts;
use super::out::Out;
use super::session::Session;
use super::signals::{self, Signals};
use crate::model::view::RunView;
use crate::wire::control::Selector;

/// Milliseconds between two attempts.
pub(super) const RECONNECT_MS: u16 = 250;

/// How often it is tried: half a minute, longer than a daemon takes to restart.
const TRIES: u32 = 120;

/// Finds the daemon again after `error`, and follows the run on. A stop that is asked for meanwhile is owed; the result is
/// None if the user leaves the run at a terminal.
///
/// # Errors
/// When the daemon does not come back, or was a private one of this call, which nobody starts again. A private one of
/// another call is started again if this one may start one (`--embedded`).
pub(super) fn find_again(
    session: &mut Session,
    selector: &Selector,
    error: ClientError,
    heed: (Option<&Signals>, &mut Interrupts),
    out: &mut Out,
) -> Result<Option<Box<RunView>>, Failure> {
    if session.owns_daemon() {
        return Err(session.without_own_daemon(error, selector));
    }
    find_within(TRIES, session, selector, error, heed, out)
}

fn find_within(
    tries: u32,
    session: &mut Session,
    selector: &Selector,
    mut error: ClientError,
    (signals, interrupts): (Option<&Signals>, &mut Interrupts),
    out: &mut Out,
) -> Result<Option<Box<RunView>>, Failure> {
    let can_leave = out.can_ask && signals.is_some();
    let way_out = if can_leave { " (Ctrl-C leaves it)" } else { "" };
    out.note(&format!(
        "{error}; waiting for the daemon to come back, the run goes on{way_out}"
    ));
    let descriptors: Vec<_> = signals.iter().flat_map(|signals| signals.descriptors()).collect();
    for _ in 0..tries {
        signals::wait(&descriptors, Some(RECONNECT_MS))
            .map_err(|error| Failure::system("cannot wait", &error))?;
        for caught in signals.map(Signals::take).unwrap_or_default() {
            let owed = interrupts.owes_stop();
            if interrupts.signal_while_away(caught, out.can_ask) {
                out.note(if owed {
                    "left without the daemon: the run goes on, and was not told to stop"
                } else {
                    "left without the daemon: the run goes on"
                });
                return Ok(None);
            }
            if !owed {
                out.note("the run is stopped as soon as the daemon is back");
            }
        }
        match session.reconnect().and_then(|()| session.follow(selector)) {
            Ok(view) => return Ok(Some(view)),
            Err(failed) if failed.is_nobody() && session.starts_one() => {
                session.start_again()?;
                error = failed;
            }
            Err(failed) if failed.is_gone() => error = failed,
            Err(failed) => return Err(failed.into()),
        }
    }
    let mut failure = Failure::from(error);
    if interrupts.owes_stop() {
        failure.message += "; the run was not stopped";
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::exit::Exit;
    use crate::ctl::place::Place;
    use crate::ctl::tests::server::Server;
    use crate::model::DagName;

    #[test]
    fn a_daemon_that_does_not_come_back_is_unreachable_and_the_run_was_not_stopped() {
        let server = Server::start(|_| Vec::new());
        let place = Place {
            root: Some(server.root().to_owned()),
            embedded: false,
        };
        let mut session = Session::open(&place).unwrap();
        drop(server);
        let selector = Selector {
            dag: DagName::new("hello").unwrap(),
            run: None,
        };
        let mut interrupts = Interrupts::default();
        let mut out = Out::new(std::io::sink(), std::io::sink(), false);
        let mut find = |interrupts: &mut Interrupts| {
            let heed = (None, interrupts);
            find_within(1, &mut session, &selector, ClientError::Closed, heed, &mut out).unwrap_err()
        };
        let failure = find(&mut interrupts);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(!failure.message.contains("not stopped"), "{failure}");
        interrupts.owe_stop(true);
        let failure = find(&mut interrupts);
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(
            failure.message.ends_with("; the run was not stopped"),
            "{failure}"
        );
    }
}
