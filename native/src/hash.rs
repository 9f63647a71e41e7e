//! XXH3-128, by which entries are named and compared. It finds accidents, not attackers.

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;
use xxhash_rust::xxh3::xxh3_128;

/// XXH3-128 of `bytes` with seed 0 in canonical form: 32 hexadecimal digits, the most significant first.
///
/// The caller wants digits, and making them here is faster than filling a view of 16 bytes and having JavaScript read it:
/// that costs a second view to look up and a second call. A panic becomes an exception of the caller.
#[napi(js_name = "xxh3", catch_unwind)]
pub fn xxh3(bytes: Uint8ArraySlice) -> String {
    format!("{:032x}", xxh3_128(&bytes))
}
