//! The native half of paxlog, as a Node addon: checksums and hashes, the scan of a batch, and files. `src/native/` holds the
//! only callers and the portable twins; one suite of tests, `test/native/`, covers both.
//!
//! Every function takes views of bytes and never keeps one. A view over a `SharedArrayBuffer` is used in place, so no other
//! thread may write the same bytes during the call: with us each part of an arena has one owner at a time.
//! A panic never crosses into Node: it becomes an exception of the caller.

mod batch;
mod buffer;
mod checksum;
mod copy;
mod hash;
mod varint;

#[cfg(target_os = "linux")]
mod errno;
#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod lock;
