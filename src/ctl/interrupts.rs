//! What Ctrl-C, SIGTERM and the user's answers mean while a run is followed. No signal is caught and nothing is
//! written here.

use super::signals::Caught;

/// What the user's signals and answers ask for. Pure, so that every path can be tested.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    asking: bool,
    stopping: bool,
    insisted: bool,
    /// A stop that is still to be sent, and whether it is a signal's doing.
    owed: Option<bool>,
}

/// What is to be done about a signal or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing more than is done already.
    Nothing,
    /// Ask whether to stop or to detach.
    Ask,
    /// Send the stop request. `interrupted`: it is a signal's doing, to which `signal_on_stop` does not apply.
    Stop {
        /// Goes into the request.
        interrupted: bool,
    },
    /// Tell that the run is being stopped, and what one more Ctrl-C does.
    Patience,
    /// Leave the run to itself.
    Leave,
}

impl Interrupts {
    /// Whether the question stands.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }

    /// A signal came. `can_ask`: somebody at a terminal can answer.
    pub(super) fn signal(&mut self, caught: Caught, can_ask: bool) -> Action {
        // Without a terminal nobody reads an advice or presses a key: each signal is a stop, and a further one cuts the
        // grace period short.
        if caught == Caught::Interrupt && can_ask {
            if self.stopping {
                let leaves = std::mem::replace(&mut self.insisted, true);
                return if leaves { Action::Leave } else { Action::Patience };
            }
            if !self.asking {
                self.asking = true;
                return Action::Ask;
            }
        }
        self.asking = false;
        self.stopping = true;
        Action::Stop { interrupted: true }
    }

    /// A signal came while the daemon is away, so that nothing can be sent and no question is put. True if the run is
    /// to be left, which takes somebody at a terminal; else a stop is owed.
    pub(super) fn signal_while_away(&mut self, caught: Caught, can_ask: bool) -> bool {
        if caught == Caught::Interrupt && can_ask {
            return true;
        }
        self.owe_stop(true);
        false
    }

    /// A stop is to be sent as soon as the daemon can be asked. Several become one: a grace period that has not begun
    /// cannot be cut short.
    pub(super) fn owe_stop(&mut self, interrupted: bool) {
        self.asking = false;
        self.stopping = true;
        self.owed.get_or_insert(interrupted);
    }

    /// Whether a stop was asked for.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether a stop is still to be sent.
    pub(super) fn owes_stop(&self) -> bool {
        self.owed.is_some()
    }

    /// Takes the stop that is to be sent: whether it is a signal's doing.
    pub(super) fn take_owed(&mut self) -> Option<bool> {
        self.owed.take()
    }

    /// The user answered the question; the end of the input counts as an empty answer.
    pub(super) fn answer(&mut self, text: &str) -> Action {
        self.asking = false;
        match text.trim().to_ascii_lowercase().as_str() {
            "s" | "stop" => {
                self.stopping = true;
                Action::Stop { interrupted: false }
            }
            "d" | "detach" => Action::Leave,
            _ => Action::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Caught::{Interrupt, Terminate};

    #[test]
    fn at_a_terminal_ctrl_c_asks_and_a_second_one_stops() {
        let mut state = Interrupts::default();
        assert_eq!(state.signal(Interrupt, true), Action::Ask);
        assert_eq!(state.signal(Interrupt, true), Action::Stop { interrupted: true });
        assert_eq!(state.signal(Interrupt, true), Action::Patience);
        assert_eq!(state.signal(Interrupt, true), Action::Leave);
    }

    #[test]
    fn the_question_has_three_answers() {
        let answer = |text| {
            let mut state = Interrupts::default();
            assert_eq!(state.signal(Interrupt, true), Action::Ask);
            let action = state.answer(text);
            assert!(!state.asking);
            action
        };
        assert_eq!(answer("s\n"), Action::Stop { interrupted: false });
        assert_eq!(answer("Detach\n"), Action::Leave);
        assert_eq!(answer("\n"), Action::Nothing);
        assert_eq!(answer(""), Action::Nothing);
    }

    #[test]
    fn without_a_terminal_each_signal_is_a_stop() {
        let stop = Action::Stop { interrupted: true };
        for signal in [Interrupt, Terminate] {
            let mut state = Interrupts::default();
            for _ in 0..3 {
                assert_eq!(state.signal(signal, false), stop);
            }
        }
        let mut state = Interrupts::default();
        assert_eq!(state.signal(Terminate, true), stop, "a script asks no questions");
        assert_eq!(state.signal(Terminate, true), stop);
        assert_eq!(state.signal(Interrupt, true), Action::Patience);
    }

    #[test]
    fn while_the_daemon_is_away_only_ctrl_c_at_a_terminal_leaves() {
        for (signal, can_ask) in [(Interrupt, false), (Terminate, false), (Terminate, true)] {
            let mut state = Interrupts::default();
            assert!(!state.signal_while_away(signal, can_ask));
            assert!(!state.signal_while_away(signal, can_ask));
            assert!(state.owes_stop());
            assert_eq!(state.take_owed(), Some(true));
            assert_eq!(state.take_owed(), None, "both became one");
            assert!(state.signal_while_away(Interrupt, true));
            assert!(!state.owes_stop());
        }
    }
}
