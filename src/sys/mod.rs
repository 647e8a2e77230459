//! Every system call, as small safe types. The only module that holds `unsafe`.
