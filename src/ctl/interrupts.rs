//! What Ctrl-C, SIGTERM and the user's answers mean while a run is followed. No signal is caught and nothing is
//! written here.

use super::signals::Caught;

/// What the user's signals and answers ask for. Pure, so that every path can be tested.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    asking: bool,
    stopping: bool,
    insisted: bool,
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
        if self.stopping {
            return match caught {
                Caught::Terminate => Action::Nothing,
                Caught::Interrupt if self.insisted => Action::Leave,
                Caught::Interrupt => {
                    self.insisted = true;
                    Action::Patience
                }
            };
        }
        if caught == Caught::Interrupt && can_ask && !self.asking {
            self.asking = true;
            return Action::Ask;
        }
        self.asking = false;
        self.stopping = true;
        Action::Stop { interrupted: true }
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
    fn without_a_terminal_signals_stop_at_once_and_once() {
        for signal in [Interrupt, Terminate] {
            let mut state = Interrupts::default();
            assert_eq!(state.signal(signal, false), Action::Stop { interrupted: true });
            assert_eq!(state.signal(Terminate, false), Action::Nothing);
            assert_eq!(state.signal(Terminate, false), Action::Nothing);
        }
        let mut state = Interrupts::default();
        assert_eq!(
            state.signal(Terminate, true),
            Action::Stop { interrupted: true },
            "a script asks no questions"
        );
    }
}
