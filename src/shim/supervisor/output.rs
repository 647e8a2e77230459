//! What steps write: copies of logs that the DAG wants, and the pipes that are read.

use std::fs::File;
use std::io;
use std::rc::Rc;

use super::super::children::{Purpose, Streams};
use super::super::taps::{Flow, Pipes, Tap, Taps};
use super::super::task::Task;
use super::super::tree;
use super::{COPIES, Supervisor};
use crate::sys::epoll::Ready;
use crate::sys::inotify::Inotify;

impl Supervisor {
    /// Has the copies of a task's logs kept up to date. Without a watch they are made when the try ends.
    pub(super) fn watch_copies(&mut self, task: &Task) {
        for copy in task.copies() {
            self.watch_log(copy.log());
        }
    }

    /// Has it told when a log grows.
    pub(super) fn watch_log(&mut self, log: &File) {
        if self.copies.is_none()
            && let Ok(watch) = Inotify::new()
            && self.epoll.add(&watch, COPIES, Ready::READ).is_ok()
        {
            self.copies = Some(watch);
        }
        if let Some(watch) = &self.copies {
            // Adding a watch that is there already changes nothing.
            drop(watch.add_file_watch(log));
        }
    }

    /// Some log has grown: what is copied catches up. A copy that cannot be written fails its try at the end.
    pub(super) fn copy_logs(&mut self) {
        if let Some(watch) = &self.copies {
            drop(watch.read());
        }
        self.logs_grew();
        for task in self.tasks.values() {
            for copy in task.copies() {
                drop(copy.follow());
            }
        }
    }

    /// A token that nothing had before.
    pub(super) fn new_token(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        token
    }

    /// Puts pipes in front of a node's logs if there are secrets to hide, or if standard output is captured and shares
    /// its log with standard error.
    pub(super) fn tap(&mut self, logs: &Streams, merged: bool, captured: bool) -> io::Result<Option<Taps>> {
        let masker = self.boot.masker().map(Rc::clone);
        if masker.is_none() && !(merged && captured) {
            return Ok(None);
        }
        let limit = captured.then_some(self.boot.dag.max_output_size);
        let taps = Taps::open(masker.as_ref(), logs, merged, limit)?;
        for tap in taps.each() {
            self.watch_tap(tap)?;
        }
        Ok(Some(taps))
    }

    /// Pipes for a command that is no step's own.
    pub(super) fn pipes(&mut self, purpose: Purpose) -> io::Result<Pipes> {
        let captured = purpose == Purpose::Substitution;
        let limit = captured.then_some(self.boot.dag.max_output_size);
        let last = usize::try_from(self.boot.cover().tail_needs()).unwrap_or(usize::MAX);
        let pipes = Pipes::open(limit, last)?;
        for tap in pipes.each() {
            self.watch_tap(tap)?;
        }
        Ok(pipes)
    }

    fn watch_tap(&mut self, tap: &Rc<Tap>) -> io::Result<()> {
        let token = self.new_token();
        self.epoll.add(tap.as_ref(), token, Ready::READ)?;
        self.taps.insert(token, Rc::clone(tap));
        Ok(())
    }

    /// Something is in a pipe, or nobody holds its other end any more. A substitution that has written too much is
    /// killed: nobody will use its output.
    pub(super) fn serve_tap(&mut self, token: u64) {
        let Some(tap) = self.taps.get(&token) else { return };
        let over = tap.pump() == Flow::Over;
        if tap.is_too_much()
            && let Some(child) = self.children.values().find(|child| child.writes_to(tap))
        {
            tree::kill_group(child);
        }
        if over && let Some(tap) = self.taps.remove(&token) {
            drop(self.epoll.delete(tap.as_ref()));
        }
    }

    /// No process is left that could write: empties all pipes.
    pub(super) fn finish_taps(&mut self) {
        for tap in std::mem::take(&mut self.taps).into_values() {
            tap.finish();
            drop(self.epoll.delete(tap.as_ref()));
        }
    }
}
