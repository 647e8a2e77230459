//! News of the wall clock, by which schedules count.

use std::os::fd::AsFd;

use super::super::dispatcher::{Dispatcher, Msg};
use crate::engine::scheduler::Event;
use crate::sys::epoll::ClockWatch;
use crate::sys::reactor;

impl Dispatcher {
    /// Has the engine told when the wall clock is set.
    pub(super) fn watch_clock(&self) {
        let watched = ClockWatch::new().and_then(|watch| {
            let readable = watch.as_fd().try_clone_to_owned().and_then(reactor::readable)?;
            Ok((watch, readable))
        });
        let (watch, readable) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                tracing::warn!(%error, "the clock cannot be watched; schedules notice that it was set when they are due next");
                return;
            }
        };
        let to_self = self.to_self.clone();
        tokio::spawn(async move {
            while let Ok(mut ready) = readable.readable().await {
                ready.clear_ready();
                if matches!(watch.take(), Ok(true))
                    && to_self.send(Msg::Then(Box::new(Self::clock_set))).is_err()
                {
                    return;
                }
            }
        });
    }

    fn clock_set(&mut self) {
        tracing::info!("the wall clock was set; schedules are counted anew");
        self.tell(Event::ClockSet);
        for dag in self.registry.in_force.keys() {
            self.warn_if_ahead(dag);
        }
    }
}
