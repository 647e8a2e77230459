//! Where the answers go: standard output and standard error, with their colours, width and broken pipes.
//!
//! Writing never fails for the caller. A reader that goes away (`| head`) must not end the following of a run, so
//! after the first error nothing more is written and the run's outcome still decides the exit status.

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::failure::Failure;
use super::render::escape::{escape, json_text};
use super::render::progress::Picture;
use crate::wire::control::Problem;

/// The two outputs of a call.
pub(super) struct Out {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    colours: bool,
    error_colours: bool,
    broken: Option<io::ErrorKind>,
    /// Standard output itself, to be waited for; none in a test.
    own: Option<io::Stdout>,
    /// Whether the answer is to be one JSON object.
    pub(super) json: bool,
    /// Size of the terminal at standard output, in columns and rows; none if it is no terminal.
    pub(super) terminal: Option<(u16, u16)>,
    /// Whether characters beyond ASCII can be shown.
    pub(super) utf8: bool,
    /// Whether that terminal can move its cursor.
    pub(super) can_draw: bool,
    /// Whether standard input is a terminal too, so that a question can be put and answered.
    pub(super) can_ask: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

/// Size that is assumed of a terminal that does not tell it.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// Whether the locale has UTF-8: the first of these variables that is not empty decides (POSIX).
fn utf8_locale(get: impl Fn(&str) -> Option<String>) -> bool {
    let decides = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| get(name).filter(|value| !value.is_empty()));
    decides.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

impl Out {
    /// The process's own outputs.
    pub(super) fn standard(json: bool) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal().then(|| {
            terminal_size::terminal_size_of(&stdout).map_or(USUAL_SIZE, |(width, height)| (width.0, height.0))
        });
        Self {
            colours: AutoStream::choice(&stdout) != ColorChoice::Never,
            error_colours: AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            stdout: Box::new(stdout),
            stderr: Box::new(io::stderr()),
            broken: None,
            own: Some(io::stdout()),
            json,
            terminal,
            utf8: utf8_locale(|name| std::env::var(name).ok()),
            can_draw: terminal.is_some() && std::env::var_os("TERM").is_some_and(|term| term != "dumb"),
            can_ask: !json && terminal.is_some() && io::stdin().is_terminal(),
        }
    }

    /// Outputs of a test.
    #[cfg(test)]
    pub(super) fn new(stdout: impl Write + 'static, stderr: impl Write + 'static, json: bool) -> Self {
        Self {
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            colours: false,
            error_colours: false,
            broken: None,
            own: None,
            json,
            terminal: None,
            utf8: true,
            can_draw: false,
            can_ask: false,
        }
    }

    /// Width for tables and trees; none is as wide as it needs.
    pub(super) fn width(&self) -> Option<u16> {
        self.terminal.map(|(width, _)| width)
    }

    /// Writes bytes to standard output as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        if self.broken.is_none()
            && let Err(error) = self.stdout.write_all(bytes).and_then(|()| self.stdout.flush())
        {
            self.broken = Some(error.kind());
        }
    }

    /// Writes text of our own making, which may have colours. They are dropped unless it is a terminal and
    /// `NO_COLOR` is not set.
    fn text(&mut self, text: &str) {
        if self.colours {
            self.raw(text.as_bytes());
        } else {
            self.raw(strip_str(text).to_string().as_bytes());
        }
    }

    /// Writes one line. The caller has escaped what comes from runs.
    pub(super) fn line(&mut self, text: &str) {
        self.text(&format!("{text}\n"));
    }

    /// Draws over what was drawn before. Moving the cursor is no colour, and needed without colours, too.
    pub(super) fn draw(&mut self, picture: &Picture) {
        if picture.up > 0 {
            // Up to the first line that was drawn, and clear to the end of the screen (ECMA-48 CUU, ED).
            self.raw(format!("\x1b[{}A\r\x1b[J", picture.up).as_bytes());
        }
        if !picture.text.is_empty() {
            self.text(&picture.text);
        }
    }

    /// Writes several lines.
    pub(super) fn lines<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        let mut text = String::new();
        for line in lines {
            text.push_str(line.as_ref());
            text.push('\n');
        }
        self.text(&text);
    }

    /// Writes the one JSON object of the answer.
    pub(super) fn object(&mut self, object: &serde_json::Value) {
        self.line(&json_text(object));
    }

    /// Tells something beside the answer, on standard error. A failure to tell it has nowhere to go.
    pub(super) fn note(&mut self, text: &str) {
        let line = format!("proctorctl: {}\n", escape(text));
        drop(
            self.stderr
                .write_all(line.as_bytes())
                .and_then(|()| self.stderr.flush()),
        );
    }

    /// Tells something that deserves a look, with its place in the DAG file.
    pub(super) fn warning(&mut self, warning: &Problem) {
        let text = super::render::problem(warning);
        self.diagnostics(&format!("proctorctl: warning: {text}\n"));
    }

    /// Writes diagnostics of a DAG, rendered with colours, to standard error.
    pub(super) fn diagnostics(&mut self, text: &str) {
        let text = if self.error_colours {
            text.to_owned()
        } else {
            strip_str(text).to_string()
        };
        drop(
            self.stderr
                .write_all(text.as_bytes())
                .and_then(|()| self.stderr.flush()),
        );
    }

    /// Tells a failure: as the JSON object, or on standard error.
    pub(super) fn failure(&mut self, failure: &Failure) {
        if self.json {
            self.object(&super::render::json::failure(failure));
            return;
        }
        let mut text = String::new();
        for problem in &failure.problems {
            text += &format!("{}\n", super::render::problem(problem));
        }
        text += &format!("proctorctl: {}\n", escape(&failure.message));
        if let Some(hint) = &failure.hint {
            text += &format!("  hint: {}\n", escape(hint));
        }
        drop(
            self.stderr
                .write_all(text.as_bytes())
                .and_then(|()| self.stderr.flush()),
        );
    }

    /// The descriptor of standard output: it tells when its reader goes away.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.own.as_ref().map(AsFd::as_fd)
    }

    /// Whether nothing more can be written.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Why the answer could not be written, if it could not and its reader did not just go away.
    pub(super) fn write_error(&self) -> Option<io::ErrorKind> {
        self.broken.filter(|kind| *kind != io::ErrorKind::BrokenPipe)
    }
}
