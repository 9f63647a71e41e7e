//! Files of Linux, one blocking call each. An error of the system is thrown with the name of its errno as `code`.

use std::ffi::CString;
use std::sync::atomic::{AtomicI32, Ordering};

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;

use crate::errno::{self, FileError};

const CLOSED: i32 = -1;
/// The largest whole number of JavaScript.
const SAFE_MAX: f64 = 9_007_199_254_740_991.0;
/// The most pieces that one call takes (IOV_MAX of Linux).
const PIECES_MAX: usize = 1024;

/// How a file is opened.
#[napi(object)]
pub struct OpenOptions {
    /// Reading is always allowed.
    pub write: bool,
    /// Makes the file, of mode 0600; it must not exist.
    pub create: bool,
    /// O_DIRECT: past the page cache. Addresses, offsets and lengths must be multiples of the device's block.
    pub direct: bool,
    /// O_DSYNC: each write returns when its bytes, and what is needed to read them back, are durable.
    pub data_sync: bool,
    /// The path must be a directory, which is opened for reading.
    pub directory: bool,
}

/// An open file. It is closed by `close`, or at the latest when the thread that opened it ends.
#[napi]
pub struct NativeFile {
    descriptor: AtomicI32,
}

/// Opens a file. Never through a symbolic link at the end of a file's path, and never for a program that this process starts.
#[napi(js_name = "openFile", catch_unwind)]
pub fn open_file(path: String, options: OpenOptions) -> Result<NativeFile, FileError> {
    let path = CString::new(path).map_err(|_| errno::named(libc::EINVAL, "the path holds a zero byte"))?;
    let mut flags = libc::O_CLOEXEC;
    // A directory may well be reached through a link; a file of ours that turns out to be one was put there by someone else.
    flags |= if options.directory { libc::O_DIRECTORY } else { libc::O_NOFOLLOW };
    flags |= if options.write { libc::O_RDWR } else { libc::O_RDONLY };
    if options.create {
        flags |= libc::O_CREAT | libc::O_EXCL;
    }
    if options.direct {
        flags |= libc::O_DIRECT;
    }
    if options.data_sync {
        flags |= libc::O_DSYNC;
    }
    // SAFETY: the path is a string with a zero at its end that outlives the call; a mode follows O_CREAT, as it must.
    let descriptor = retried(|| unsafe { libc::open(path.as_ptr(), flags, 0o600 as libc::c_uint) as isize })?;
    Ok(NativeFile { descriptor: AtomicI32::new(descriptor as i32) })
}

#[napi]
impl NativeFile {
    /// Its length in bytes.
    #[napi(catch_unwind)]
    pub fn size(&self) -> Result<f64, FileError> {
        let descriptor = self.open_descriptor()?;
        // SAFETY: all zeros is a valid stat, which the call fills in.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and the pointer is to a stat of our own.
        retried(|| unsafe { libc::fstat(descriptor, &mut stat) as isize })?;
        Ok(stat.st_size as f64)
    }

    /// Reads at `offset` until the target is full or the file ends; how many bytes that were.
    #[napi(catch_unwind)]
    pub fn read(&self, offset: f64, mut target: Uint8ArraySlice) -> Result<f64, FileError> {
        let descriptor = self.open_descriptor()?;
        let offset = offset_of(offset)?;
        // SAFETY: the caller owns the target, and nobody else touches it during the call.
        let target = unsafe { target.as_mut() };
        let mut done = 0;
        while let Some(rest) = target.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as i64;
            // SAFETY: pointer and length are those of one slice that is ours to write.
            let count = retried(|| unsafe { libc::pread(descriptor, rest.as_mut_ptr().cast(), rest.len(), at) })?;
            if count == 0 {
                break;
            }
            done += count as usize;
        }
        Ok(done as f64)
    }

    /// Writes all the parts, one after another, at `offset`. A short write is continued; one without progress is EIO.
    #[napi(catch_unwind)]
    pub fn write(&self, offset: f64, parts: Vec<Uint8ArraySlice>) -> Result<(), FileError> {
        let descriptor = self.open_descriptor()?;
        let mut at = offset_of(offset)?;
        let mut left: Vec<libc::iovec> = parts
            .iter()
            .filter(|part| !part.is_empty())
            .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() })
            .collect();
        let mut begin = 0;
        while let Some(pieces) = left.get_mut(begin..).filter(|pieces| !pieces.is_empty()) {
            let number = pieces.len().min(PIECES_MAX) as libc::c_int;
            // SAFETY: each piece is a range of a view that lives until this function returns; the call only reads them.
            let count = retried(|| unsafe { libc::pwritev(descriptor, pieces.as_ptr(), number, at) })?;
            if count == 0 {
                return Err(errno::named(libc::EIO, "a write made no progress"));
            }
            at += count as i64;
            begin += skip(pieces, count as usize);
        }
        Ok(())
    }

    /// fdatasync: data, size and what is needed to read them back are durable.
    #[napi(js_name = "syncData", catch_unwind)]
    pub fn sync_data(&self) -> Result<(), FileError> {
        let descriptor = self.open_descriptor()?;
        // Not even EINTR is tried again: a second sync may succeed although the first one lost something.
        // SAFETY: a call with an open descriptor only.
        checked(unsafe { libc::fdatasync(descriptor) } as isize).map(|_| ())
    }

    /// fsync: everything about the file, and of a directory the names in it.
    #[napi(js_name = "syncAll", catch_unwind)]
    pub fn sync_all(&self) -> Result<(), FileError> {
        let descriptor = self.open_descriptor()?;
        // SAFETY: a call with an open descriptor only.
        checked(unsafe { libc::fsync(descriptor) } as isize).map(|_| ())
    }

    /// Makes the file exactly this long. New bytes read as zeros and take no space.
    #[napi(catch_unwind)]
    pub fn resize(&self, length: f64) -> Result<(), FileError> {
        let descriptor = self.open_descriptor()?;
        let length = offset_of(length)?;
        // SAFETY: a call with an open descriptor and a number.
        retried(|| unsafe { libc::ftruncate(descriptor, length) as isize }).map(|_| ())
    }

    /// Reserves space for the bytes [0, length); the file becomes that long if it is shorter. What was never written reads as
    /// zeros. EOPNOTSUPP where the file system cannot.
    #[napi(catch_unwind)]
    pub fn preallocate(&self, length: f64) -> Result<(), FileError> {
        let descriptor = self.open_descriptor()?;
        let length = offset_of(length)?;
        // SAFETY: a call with an open descriptor and numbers.
        retried(|| unsafe { libc::fallocate(descriptor, 0, 0, length) as isize }).map(|_| ())
    }

    /// Closes the file; once more is EBADF. Nothing is made durable by it.
    #[napi(catch_unwind)]
    pub fn close(&self) -> Result<(), FileError> {
        let descriptor = self.descriptor.swap(CLOSED, Ordering::AcqRel);
        if descriptor == CLOSED {
            return Err(errno::named(libc::EBADF, "the file is closed"));
        }
        // Linux gives the descriptor free even where close fails, so it is never tried again.
        // SAFETY: the descriptor was open and ours; the swap saw to it that nobody else has it.
        checked(unsafe { libc::close(descriptor) } as isize).map(|_| ())
    }
}

impl NativeFile {
    pub(crate) fn open_descriptor(&self) -> Result<i32, FileError> {
        match self.descriptor.load(Ordering::Acquire) {
            CLOSED => Err(errno::named(libc::EBADF, "the file is closed")),
            descriptor => Ok(descriptor),
        }
    }
}

impl Drop for NativeFile {
    fn drop(&mut self) {
        // Nobody is left who could be told of an error.
        let _ = self.close();
    }
}

/// Whole numbers that are not below zero.
fn offset_of(value: f64) -> Result<i64, FileError> {
    if (0.0..=SAFE_MAX).contains(&value) && value.fract() == 0.0 {
        return Ok(value as i64);
    }
    Err(errno::named(libc::EINVAL, "not an offset or a length"))
}

fn checked(result: isize) -> Result<isize, FileError> {
    if result < 0 { Err(errno::last()) } else { Ok(result) }
}

/// Calls again where a signal came first.
fn retried(mut call: impl FnMut() -> isize) -> Result<isize, FileError> {
    loop {
        let result = call();
        if result >= 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return checked(result);
        }
    }
}

/// Takes `count` written bytes off the front; how many pieces are done.
fn skip(pieces: &mut [libc::iovec], mut count: usize) -> usize {
    let mut done = 0;
    for piece in pieces {
        if count < piece.iov_len {
            piece.iov_base = piece.iov_base.cast::<u8>().wrapping_add(count).cast();
            piece.iov_len -= count;
            break;
        }
        count -= piece.iov_len;
        done += 1;
    }
    done
}
