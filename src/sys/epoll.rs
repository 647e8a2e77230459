//! Waiting for many descriptors at once, timers, and waking a waiting thread.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as Inner, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EfdFlags;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What to wait for, or what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// There is something to read (or accept, or a process ended).
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// Something out of the ordinary, such as a change of `cgroup.events`.
    pub priority: bool,
    /// The other end hung up, or an error waits. Always reported, need not be asked for.
    pub hangup: bool,
}

impl Ready {
    /// Readable only.
    pub const READ: Self = Self {
        readable: true,
        writable: false,
        priority: false,
        hangup: false,
    };
    /// Writable only.
    pub const WRITE: Self = Self {
        readable: false,
        writable: true,
        priority: false,
        hangup: false,
    };
    /// Readable and writable.
    pub const BOTH: Self = Self {
        readable: true,
        writable: true,
        priority: false,
        hangup: false,
    };
    /// Priority only.
    pub const PRIORITY: Self = Self {
        readable: false,
        writable: false,
        priority: true,
        hangup: false,
    };

    fn flags(self) -> EpollFlags {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, self.readable);
        flags.set(EpollFlags::EPOLLOUT, self.writable);
        flags.set(EpollFlags::EPOLLPRI, self.priority);
        flags
    }
}

/// One event: the token it was registered with, and what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The caller's token. Never reuse one for another descriptor: events may come late.
    pub token: u64,
    /// What happened.
    pub ready: Ready,
}

/// A set of descriptors to wait for, level-triggered. Delete a descriptor before closing it: another process
/// may hold a copy, and then events keep coming.
#[derive(Debug)]
pub struct Epoll(Inner);

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Inner::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Adds a descriptor.
    ///
    /// # Errors
    /// `AlreadyExists`; `EPERM` for a kind that cannot be waited for, such as a regular file.
    pub fn add(&self, fd: impl AsFd, token: u64, ready: Ready) -> io::Result<()> {
        Ok(self.0.add(fd, EpollEvent::new(ready.flags(), token))?)
    }

    /// Changes what a descriptor is waited for.
    ///
    /// # Errors
    /// `NotFound` if it is not in the set.
    pub fn modify(&self, fd: impl AsFd, token: u64, ready: Ready) -> io::Result<()> {
        Ok(self.0.modify(fd, &mut EpollEvent::new(ready.flags(), token))?)
    }

    /// Takes a descriptor out.
    ///
    /// # Errors
    /// `NotFound` if it is not in the set.
    pub fn delete(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// Waits until something happens or `timeout_ms` passed (`None`: for ever). Empty on time-out, and also
    /// when a signal came. At most 256 events at a time; the rest come next time.
    ///
    /// # Errors
    /// Not in practice.
    pub fn wait(&self, timeout_ms: Option<u32>) -> io::Result<Vec<Event>> {
        let timeout = match timeout_ms {
            None => EpollTimeout::NONE,
            // Longer than 24 days is cut, which only means a round more.
            Some(ms) => EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX),
        };
        let mut buffer = [EpollEvent::empty(); 256];
        let count = match self.0.wait(&mut buffer, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(buffer.iter().take(count).map(event).collect())
    }
}

fn event(found: &EpollEvent) -> Event {
    let flags = found.events();
    let ready = Ready {
        readable: flags.contains(EpollFlags::EPOLLIN),
        writable: flags.contains(EpollFlags::EPOLLOUT),
        priority: flags.contains(EpollFlags::EPOLLPRI),
        hangup: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR | EpollFlags::EPOLLRDHUP),
    };
    Event {
        token: found.data(),
        ready,
    }
}

/// A timer on the clock of [`super::clock::boot_micros`]: it counts time in suspend and no clock change
/// touches it. Readable once expired.
#[derive(Debug)]
pub struct TimerFd(nix::sys::timerfd::TimerFd);

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl TimerFd {
    /// A timer that is not armed.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(nix::sys::timerfd::TimerFd::new(
            ClockId::CLOCK_BOOTTIME,
            flags,
        )?))
    }

    /// Arms it for one moment, in microseconds since boot; a past one expires at once.
    ///
    /// # Errors
    /// Not in practice.
    pub fn arm(&self, at_boot_micros: u64) -> io::Result<()> {
        // Zero would disarm it.
        let at = TimeSpec::from_duration(std::time::Duration::from_micros(at_boot_micros.max(1)));
        Ok(self
            .0
            .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Disarms it.
    ///
    /// # Errors
    /// Not in practice.
    pub fn disarm(&self) -> io::Result<()> {
        Ok(self.0.unset()?)
    }

    /// Takes an expiry, so that it is not readable any more; false if there was none.
    ///
    /// # Errors
    /// Not in practice.
    pub fn take(&self) -> io::Result<bool> {
        match self.0.wait() {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Tells when the wall clock is set (not when it is slewed): readable then.
#[derive(Debug)]
pub struct ClockWatch(nix::sys::timerfd::TimerFd);

impl AsFd for ClockWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A wall time that does not come: in 2255. The kernel lets nobody set the clock past 2232, and takes times up to 2262
/// (`KTIME_MAX`).
const NEVER: std::time::Duration = std::time::Duration::from_secs(9_000_000_000);

impl ClockWatch {
    /// Watches the clock from now on.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = nix::sys::timerfd::TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        let watch = Self(timer);
        watch.arm()?;
        Ok(watch)
    }

    /// Arms a timer that is never due, and that the kernel cancels when the clock is set (timerfd_create(2)).
    fn arm(&self) -> io::Result<()> {
        let never = TimeSpec::from_duration(NEVER);
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Ok(self.0.set(Expiration::OneShot(never), flags)?)
    }

    /// Whether the clock was set since the last call.
    ///
    /// # Errors
    /// Not in practice.
    pub fn take(&self) -> io::Result<bool> {
        let set = match self.0.wait() {
            // It is due only if the clock was set far into the future.
            Ok(()) | Err(Errno::ECANCELED) => true,
            Err(Errno::EAGAIN) => false,
            Err(errno) => return Err(errno.into()),
        };
        if set {
            self.arm()?;
        }
        Ok(set)
    }
}

/// A flag that one thread raises and another waits for.
#[derive(Debug)]
pub struct EventFd(nix::sys::eventfd::EventFd);

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl EventFd {
    /// A flag that is down.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(nix::sys::eventfd::EventFd::from_flags(flags)?))
    }

    /// Raises it. Raising it again before it is taken changes nothing.
    ///
    /// # Errors
    /// Not in practice.
    pub fn raise(&self) -> io::Result<()> {
        match self.0.write(1) {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes it down; false if it was not up.
    ///
    /// # Errors
    /// Not in practice.
    pub fn take(&self) -> io::Result<bool> {
        match self.0.read() {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_sets_wakes_nobody() {
        let (epoll, watch) = (Epoll::new().unwrap(), ClockWatch::new().unwrap());
        epoll.add(&watch, 1, Ready::READ).unwrap();
        assert_eq!(epoll.wait(Some(0)).unwrap(), []);
        assert!(!watch.take().unwrap());
        // Nor does a day that comes, such as one in 2038.
        let Some(Expiration::OneShot(left)) = watch.0.get().unwrap() else {
            panic!("it is not armed");
        };
        assert!(left.tv_sec() > 150 * 365 * 86_400, "{left:?}");
    }

    #[test]
    fn a_timer_and_a_flag_wake_the_waiter_with_their_tokens() {
        let (epoll, timer, flag) = (
            Epoll::new().unwrap(),
            TimerFd::new().unwrap(),
            EventFd::new().unwrap(),
        );
        epoll.add(&timer, 1, Ready::READ).unwrap();
        epoll.add(&flag, 2, Ready::READ).unwrap();
        assert_eq!(epoll.wait(Some(0)).unwrap(), []);
        timer.arm(0).unwrap();
        assert_eq!(
            epoll.wait(Some(5000)).unwrap(),
            [Event {
                token: 1,
                ready: Ready::READ
            }]
        );
        assert!(timer.take().unwrap());
        assert!(!timer.take().unwrap());
        flag.raise().unwrap();
        flag.raise().unwrap();
        assert_eq!(
            epoll.wait(Some(5000)).unwrap(),
            [Event {
                token: 2,
                ready: Ready::READ
            }]
        );
        assert!(flag.take().unwrap());
        assert!(!flag.take().unwrap());
        epoll.delete(&flag).unwrap();
        flag.raise().unwrap();
        timer
            .arm(super::super::clock::boot_micros() + 3_600_000_000)
            .unwrap();
        timer.disarm().unwrap();
        assert_eq!(epoll.wait(Some(0)).unwrap(), []);
    }
}
