//! The native half of paxlog's hashing, as a Node addon. `src/native/hashing.ts` is its only caller and holds its portable
//! twin; one suite of tests, `test/native/`, covers both.
//!
//! Every function takes a view of bytes and never keeps it. A view over a `SharedArrayBuffer` is read in place, so no other
//! thread may write the same bytes during the call: with us each part of an arena has one owner at a time.

mod checksum;
mod hash;
