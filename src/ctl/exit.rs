//! Exit statuses of `proctorctl`: the only place that gives them their numbers. They are part of the interface.

use crate::model::RunStatus;
use crate::model::view::RunView;
use crate::wire::control::ErrorKind;

/// How a call of `proctorctl` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; of a run: it succeeded.
    Ok = 0,
    /// A negative answer: the run failed, there is no such run, a check found something.
    Negative = 1,
    /// The command line, the DAG or its parameters are wrong. Nothing was started.
    Usage = 2,
    /// The run was aborted.
    Aborted = 3,
    /// The run ended with failures that its DAG tolerates.
    PartiallySucceeded = 4,
    /// The run's attempt was lost: it died without a final record.
    Lost = 5,
    /// A person refused approval of the run.
    Rejected = 6,
    /// The run waits for a person's approval.
    Waiting = 7,
    /// The daemon cannot be reached or cannot serve now (`EX_UNAVAILABLE` of sysexits.h).
    Unreachable = 69,
    /// A fault of this program or of the daemon (`EX_SOFTWARE`).
    Bug = 70,
    /// Not allowed (`EX_NOPERM`).
    Denied = 77,
    /// The set-up is wrong (`EX_CONFIG`).
    Config = 78,
}

/// The table as `--help` shows it.
pub(super) const HELP: &str = "\
Exit status:
   0  done; of a run: it succeeded (or was left running with --detach)
   1  a negative answer: the run failed, there is no such run, a check failed
   2  the command line, the DAG or its parameters are wrong; nothing was started
   3  the run was aborted
   4  the run ended with failures that its DAG tolerates
   5  the run was lost: its supervisor died without a final record
   6  a person refused approval of the run
   7  the run waits for a person's approval
  69  the daemon cannot be reached, or cannot serve now
  70  a fault of proctorctl or of the daemon
  77  not allowed
  78  the set-up is wrong";

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// How a run that was followed to its end came out.
    #[must_use]
    pub const fn of_run(view: &RunView) -> Self {
        if view.lost.is_some() {
            return Self::Lost;
        }
        match view.status {
            RunStatus::Succeeded => Self::Ok,
            RunStatus::Failed | RunStatus::NotStarted | RunStatus::Running | RunStatus::Queued => {
                Self::Negative
            }
            RunStatus::Aborted => Self::Aborted,
            RunStatus::PartiallySucceeded => Self::PartiallySucceeded,
            RunStatus::Rejected => Self::Rejected,
            RunStatus::Waiting => Self::Waiting,
        }
    }

    /// How a refusal by the daemon ends the call.
    #[must_use]
    pub const fn of_refusal(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Usage,
            ErrorKind::NotFound | ErrorKind::Exists | ErrorKind::WrongState => Self::Negative,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Unavailable | ErrorKind::Protocol => Self::Unreachable,
            ErrorKind::Internal => Self::Bug,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_every_number() {
        let all = [
            Exit::Ok,
            Exit::Negative,
            Exit::Usage,
            Exit::Aborted,
            Exit::PartiallySucceeded,
            Exit::Lost,
            Exit::Rejected,
            Exit::Waiting,
            Exit::Unreachable,
            Exit::Bug,
            Exit::Denied,
            Exit::Config,
        ];
        let told: Vec<u8> = HELP
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        assert_eq!(told, all.map(Exit::code));
        assert_eq!(told, [0, 1, 2, 3, 4, 5, 6, 7, 69, 70, 77, 78]);
    }

    #[test]
    fn only_a_succeeded_run_is_a_success() {
        let mut view = crate::ctl::render::tests::a_view();
        for status in RunStatus::ALL {
            view.status = *status;
            let exit = Exit::of_run(&view);
            assert_eq!(exit == Exit::Ok, *status == RunStatus::Succeeded, "{status}");
        }
        view.status = RunStatus::Aborted;
        assert_eq!(Exit::of_run(&view), Exit::Aborted);
        view.lost = Some(crate::model::LostCause::Reboot);
        assert_eq!(Exit::of_run(&view), Exit::Lost);
    }

    #[test]
    fn refusals() {
        assert_eq!(Exit::of_refusal(ErrorKind::Invalid), Exit::Usage);
        assert_eq!(Exit::of_refusal(ErrorKind::NotFound), Exit::Negative);
        assert_eq!(Exit::of_refusal(ErrorKind::Denied), Exit::Denied);
        assert_eq!(Exit::of_refusal(ErrorKind::Unavailable), Exit::Unreachable);
        assert_eq!(Exit::of_refusal(ErrorKind::Internal), Exit::Bug);
    }
}
