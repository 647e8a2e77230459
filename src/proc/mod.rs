//! The proc directory: name, entry, handle, scan, verdict.
